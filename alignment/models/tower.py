"""TowerNetwork: a small transformer on an image or on a text, for towers that are trained from scratch.

Its attention has no rotary embedding and no norm between queries and keys, and its units are ReLU: both have the
symmetries that gradient balance speaks of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from alignment.errors import ModelError

FORMAT = "tower"  # what config.json says under "accord"
VERSION = 1
PADDING, UNKNOWN, LETTERS = 0, 1, 2  # numbers of no letter, of one that is not in the alphabet, and of the first
Senses = Literal["image", "text"]


@dataclass(frozen=True)
class TowerConfig:
    """What a tower is, beside its weights.

    Attributes:
        modality: what it takes.
        width: of its stream, a multiple of `heads`.
        heads: of each attention.
        blocks: how many pairs of an attention and a layer of units, which are four times as many as the width.
        outputs: how many.
        side: of its square images, in pixels, a multiple of `patch`.
        patch: of its patches.
        alphabet: the letters it knows; texts are put in lower case.
        length: how many letters of a text it reads.
        masked: whether its task is to say what is hidden: it then knows a mark for that, and has outputs at each place.
    """

    modality: Senses
    width: int
    heads: int
    blocks: int
    outputs: int
    side: int = 0
    patch: int = 0
    alphabet: str = ""
    length: int = 0
    masked: bool = False

    def __post_init__(self) -> None:
        if self.modality not in get_args(Senses):
            raise ModelError(f"a tower takes an image or a text, not {self.modality!r}")
        sizes = (self.width, self.heads, self.blocks, self.outputs, *self._own())
        if not all(type(size) is int and size > 0 for size in sizes):
            raise ModelError(f"a tower's sizes are whole numbers above 0, not {list(sizes)}")
        if type(self.masked) is not bool:
            raise ModelError(f"a tower's masked is true or false, not {self.masked!r}")
        if self.width % self.heads:
            raise ModelError(f"a tower of width {self.width} cannot have {self.heads} heads; take a divisor")
        if self.modality == "image" and self.side % self.patch:
            raise ModelError(f"images of side {self.side} are no whole patches of {self.patch}; take a divisor")

    def _own(self) -> tuple[int, ...]:
        return (self.side, self.patch) if self.modality == "image" else (len(self.alphabet), self.length)

    @property
    def inputs(self) -> int:
        """How many numbers an item is: red, green and blue of each pixel, or one a letter."""
        return 3 * self.side**2 if self.modality == "image" else self.length

    @property
    def positions(self) -> int:
        """How many places the stream has."""
        return (self.side // self.patch) ** 2 if self.modality == "image" else self.length

    @property
    def hidden_letter(self) -> int:
        """The number that stands for a letter that is hidden."""
        return LETTERS + len(self.alphabet)

    @property
    def layer_names(self) -> tuple[str, ...]:
        """The blocks' names, from input to output."""
        return tuple(f"block.{i}" for i in range(1, self.blocks + 1))

    def to_dict(self) -> dict[str, Any]:
        """Returns what config.json holds."""
        return {"accord": FORMAT, "version": VERSION, **asdict(self)}

    @classmethod
    def from_dict(cls, config: Mapping[str, Any], reference: str) -> TowerConfig:
        """Returns the config that a config.json holds.

        Raises:
            ModelError: if it is of another version or lacks something.
        """
        if config.get("version") != VERSION:
            raise ModelError(f"{reference} is of version {config.get('version')!r}; this Accord reads {VERSION}")
        try:
            known = {"masked": False, **config}  # which towers of old do not say
            return cls(**{name: known[name] for name in cls.__dataclass_fields__})
        except (KeyError, TypeError) as error:
            raise ModelError(f"{reference}: config.json does not describe a tower ({error})") from error


class Attention(nn.Module):
    """Attention of every place to every place that holds something."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Float[Tensor, "b t w"], empty: Tensor | None) -> Float[Tensor, "b t w"]:
        """Returns what each place gathers; `empty` `[b, t]` is where nothing is."""
        q, k, v = (
            part(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (self.query, self.key, self.value)
        )
        # Written out: at this size the fused kernels save nothing, and they have no second derivative.
        scores = q @ k.transpose(2, 3) / q.shape[-1] ** 0.5
        if empty is not None:
            scores = scores.masked_fill(empty[:, None, None, :], -torch.inf)
        gathered: Tensor = self.output((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
        return gathered


class Block(nn.Module):
    """An attention and a layer of units, each behind a norm and added to the stream."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm_attention, self.norm_units = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.units = nn.Sequential(nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, empty: Tensor | None) -> Tensor:
        """Returns the stream behind the block."""
        x = x + self.attention(self.norm_attention(x), empty)
        added: Tensor = x + self.units(self.norm_units(x))
        return added


class TowerNetwork(nn.Module):
    """Patches or letters, blocks, and outputs read off the mean over all places, or off each where some are hidden.

    >>> tower = TowerNetwork(TowerConfig("text", 8, 2, 1, 3, alphabet="abc", length=4))
    >>> tower(torch.tensor([[2, 3, 0, 0]])).shape, [state.shape for state in tower.hidden(torch.tensor([[2, 3, 0, 0]]))]
    (torch.Size([1, 3]), [torch.Size([1, 8])])
    """

    def __init__(self, config: TowerConfig, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.config = config
        # Layers draw weights as they are made: the caller's own random state stays untouched.
        with torch.random.fork_rng(devices=[]):
            if config.modality == "image":
                self.patches = nn.Linear(3 * config.patch**2 + config.masked, config.width)
            else:
                self.letters = nn.Embedding(LETTERS + len(config.alphabet) + config.masked, config.width)
            self.places = nn.Parameter(torch.zeros(1, config.positions, config.width))
            self.blocks = nn.ModuleList(Block(config.width, config.heads) for _ in range(config.blocks))
            self.norm = nn.LayerNorm(config.width)
            self.head = nn.Linear(config.width, config.outputs)
        self.to(dtype)

    def states(self, x: Float[Tensor, "b n"]) -> tuple[list[Float[Tensor, "b t w"]], Tensor | None]:
        """Returns the stream behind each block, and where it holds nothing, `[b, t]`, if it may."""
        state, empty = self._embedded(x)
        found: list[Tensor] = []
        for block in self.blocks:
            state = block(state, empty)
            found.append(state)
        return found, empty

    def hidden(self, x: Float[Tensor, "b n"]) -> list[Float[Tensor, "b w"]]:
        """Returns the stream behind each block, its mean over the places that hold something."""
        found, empty = self.states(x)
        return [_mean(state, empty) for state in found]

    def overall(self, x: Float[Tensor, "b n"]) -> Float[Tensor, "b m"]:
        """Returns the outputs read off the mean over all places that hold something, whatever the task."""
        found, empty = self.states(x)
        output: Tensor = self.head(_mean(self.norm(found[-1]), empty))
        return output

    def forward(self, x: Float[Tensor, "b n"]) -> Float[Tensor, "b *t m"]:
        """Returns the outputs, `[b, m]`, or `[b, t, m]` at each place of a tower that says what is hidden.

        Args:
            x: images, channel by channel and row by row, or the letters' numbers, behind the text `PADDING`. A patch
                with NaN is hidden, and so is a letter with the number `hidden_letter`.
        """
        if not self.config.masked:
            return self.overall(x)
        output: Tensor = self.head(self.norm(self.states(x)[0][-1]))
        return output

    def _embedded(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        config = self.config
        if config.modality == "text":
            ids = x.long()
            letters: Tensor = self.letters(ids)
            return letters + self.places, ids == PADDING
        seen = tiles(x, config)
        if config.masked:
            hidden = seen.isnan().any(-1, keepdim=True)
            seen = torch.cat([seen.masked_fill(hidden, 0.0), hidden.to(seen.dtype)], -1)
        patches: Tensor = self.patches(seen)
        return patches + self.places, None


def tiles(x: Float[Tensor, "b n"], config: TowerConfig) -> Float[Tensor, "b t m"]:
    """Returns images' patches, row by row, each channel by channel."""
    across = config.side // config.patch
    parts = x.reshape(len(x), 3, across, config.patch, across, config.patch).permute(0, 2, 4, 1, 3, 5)
    return parts.reshape(len(x), across**2, -1)


def _mean(state: Float[Tensor, "b t w"], empty: Tensor | None) -> Float[Tensor, "b w"]:
    if empty is None:
        return state.mean(1)
    held = (~empty).to(state.dtype)
    return (state * held[..., None]).sum(1) / held.sum(1, keepdim=True).clamp(min=1)

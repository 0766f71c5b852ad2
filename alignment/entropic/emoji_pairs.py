"""EmojiPairs: pictures and names of the same emoji, with the groups that towers learn to tell apart."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment.entropic.chance import generator
from alignment.entropic.emoji_groups import GROUPS, group_of
from alignment.models import TowerConfig, letters, pixels
from alignment.probes import load_probe

PROBE = "builtin:emoji"
ALPHABET = "abcdefghijklmnopqrstuvwxyz -’"
_HELD_OUT = 0.25


@dataclass(frozen=True, eq=False)
class EmojiPairs:
    """The emoji of the probe set that have a group, in its order.

    Attributes:
        images: `[n, 3 * side * side]`, channel by channel, between -1 and 1.
        names: `[n, length]`, the numbers of their letters.
        groups: `[n]`, of `GROUPS`.
        held: `[n]`, whether an emoji is held out.
    """

    images: Float[Tensor, "n p"]
    names: Int[Tensor, "n t"]
    groups: Int[Tensor, " n"]
    held: Tensor

    @classmethod
    def load(cls, image: TowerConfig, text: TowerConfig, seed: int) -> EmojiPairs:
        """Returns all, with a quarter of them held out by seed.

        Args:
            image: what pictures are made for.
            text: what names are made for.
            seed: of those held out.

        Raises:
            ProbeError: if the packages that the probe set is made of are not installed.
        """
        probe = load_probe(PROBE)
        found = [(row, group_of(item)) for row, item in enumerate(probe.ids)]
        rows = [row for row, group in found if group is not None]
        images, texts = probe.images or (), probe.texts or ()
        return cls(
            images=torch.stack([pixels(images[row].open(), image.side) for row in rows]).flatten(1),
            names=letters([texts[row] for row in rows], text),
            groups=torch.tensor([GROUPS.index(group) for _, group in found if group is not None]),
            held=_held(len(rows), seed),
        )

    def split(self, seed: int) -> EmojiPairs:
        """Returns the same emoji, of which another quarter is held out: what `load` gives for that seed."""
        return replace(self, held=_held(len(self.groups), seed))


def _held(count: int, seed: int) -> Tensor:
    held = torch.zeros(count, dtype=torch.bool)
    held[torch.randperm(count, generator=generator(seed, "held out"))[: round(_HELD_OUT * count)]] = True
    return held

"""Part: which of a pretrained model's weights are trained.

| part | trained |
| --- | --- |
| `last:N` | the last N blocks |
| `all` | every weight |
| `lora:R` | a matrix of rank R added to each linear layer of the blocks, and merged into it at the end |

Source of the last: Hu et al. 2021, "LoRA", arXiv 2106.09685.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize

from alignment.entropic.chance import generator, normal
from alignment.errors import TrainingError

_FORMS = "last:N, all or lora:R"


@dataclass(frozen=True)
class Part:
    """A part, by name and number.

    Attributes:
        kind: `last`, `all` or `lora`.
        number: blocks or a rank, at least 1; 0 for `all`.
    """

    kind: Literal["last", "all", "lora"]
    number: int = 0

    @classmethod
    def parse(cls, text: str) -> Part:
        """Returns the part that `text` spells.

        Raises:
            TrainingError: if it spells none.

        >>> Part.parse("lora:8")
        Part(kind='lora', number=8)
        """
        kind, _, number = text.partition(":")
        if text == "all":
            return cls("all")
        if kind not in ("last", "lora") or not number.isdecimal() or not int(number):
            raise TrainingError(f"{text!r} is no part of a model; write {_FORMS}")
        return cls(kind, int(number))  # type: ignore[arg-type]  # one of the two, as checked

    def take(self, model: nn.Module, seed: int) -> list[nn.Parameter]:
        """Returns the parameters that are trained, having frozen all others.

        Args:
            model: a pretrained model; with `lora` its linear layers are given adapters, which change nothing at first.
            seed: what adapters are drawn from.

        Raises:
            TrainingError: if the model has no such part.
        """
        if self.kind == "all":
            return list(model.requires_grad_(True).parameters())
        model.requires_grad_(False)
        stack = blocks(model)
        if self.kind == "last":
            if self.number > len(stack):
                raise TrainingError(f"last:{self.number} is more than the model's {len(stack)} blocks")
            return [p for block in stack[-self.number :] for p in block.requires_grad_(True).parameters()]
        layers = [m for block in stack for m in block.modules() if isinstance(m, nn.Linear)]
        random = generator(seed, "adapters")
        for layer in layers:
            parametrize.register_parametrization(layer, "weight", LowRank(layer.weight, self.number, random))
        return [p for p in model.parameters() if p.requires_grad]

    def merge(self, model: nn.Module) -> None:
        """Makes the model an ordinary one again."""
        for module in list(model.modules()) if self.kind == "lora" else ():
            if parametrize.is_parametrized(module, "weight"):
                parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)


class LowRank(nn.Module):
    """A matrix of low rank that is added to a weight: nothing at first, for one of its factors is zero."""

    def __init__(self, weight: Tensor, rank: int, random: torch.Generator) -> None:
        """Draws the factors for a weight."""
        super().__init__()
        rows, columns = weight.shape
        self.up = nn.Parameter(weight.new_zeros(rows, rank))
        self.down = nn.Parameter((normal(random, rank, columns) / columns**0.5).to(weight))

    def forward(self, weight: Float[Tensor, "n m"]) -> Float[Tensor, "n m"]:
        """Returns the weight with its adapter."""
        return weight + self.up @ self.down


def blocks(model: nn.Module) -> list[nn.Module]:
    """Returns a model's blocks: the longest list of modules of one class that it holds.

    Raises:
        TrainingError: if it holds none.
    """
    lists = [list(m) for m in model.modules() if isinstance(m, nn.ModuleList) and len({type(c) for c in m}) == 1]
    if not lists:
        raise TrainingError("the model has no stack of blocks; train it whole, with --part all")
    return max(lists, key=len)

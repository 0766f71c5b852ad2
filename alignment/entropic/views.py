"""View: how one network sees items that both are shown.

| view | what it does | invertible |
| --- | --- | --- |
| `identity` | nothing | yes |
| `linear` | a random matrix with singular values between 0.7 and 1.4 | yes |
| `projection` | a random orthogonal mixture of all coordinates | yes |
| `rotation:DEGREES` | turns a square image, cutting its corners off unless by a multiple of 90 | no |
| `noise:DEVIATION` | adds Gaussian noise, another for each item | no |
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from alignment.entropic.chance import generator, invertible, normal, orthogonal
from alignment.errors import TrainingError, UnknownNameError

KINDS = ("identity", "linear", "projection", "rotation", "noise")
_DEFAULTS: Mapping[str, float] = {"rotation": 30.0, "noise": 0.3}


@dataclass(frozen=True)
class View:
    """A view, by name and number.

    Attributes:
        kind: one of `KINDS`.
        amount: degrees or a deviation; 0 for the others.
    """

    kind: str
    amount: float = 0.0

    @classmethod
    def parse(cls, text: str) -> View:
        """Returns the view that `text` spells.

        Raises:
            UnknownNameError: if there is no such view.
            TrainingError: if its number cannot be used.

        >>> View.parse("rotation:45")
        View(kind='rotation', amount=45.0)
        """
        kind, colon, number = text.partition(":")
        if kind not in KINDS:
            raise UnknownNameError("view", kind, KINDS)
        if kind not in _DEFAULTS:
            if colon:
                raise TrainingError(f"the view {kind!r} takes no number, and {number!r} is given")
            return cls(kind)
        try:
            amount = float(number) if colon else _DEFAULTS[kind]
        except ValueError as error:
            raise TrainingError(f"the view {text!r} needs a number, as in {kind}:{_DEFAULTS[kind]:g}") from error
        if not math.isfinite(amount) or (kind == "noise" and amount < 0):
            raise TrainingError(f"the view {text!r} needs another number, as in {kind}:{_DEFAULTS[kind]:g}")
        return cls(kind, amount)

    def check(self, width: int) -> None:
        """Raises a TrainingError if items of this width cannot be seen so."""
        if self.kind == "rotation" and math.isqrt(width) ** 2 != width:
            raise TrainingError(f"items of width {width} are no square images, so they cannot be turned")

    def see(self, items: Float[Tensor, "n d"], seed: int, member: str) -> Float[Tensor, "n d"]:
        """Returns the items as a member sees them.

        Args:
            items: as they are.
            seed: what random maps and noise come from.
            member: `a` or `b`, which has its own.

        Raises:
            TrainingError: if the items are no square images and the view turns them.
        """
        self.check(items.shape[1])
        ways: dict[str, Callable[[], Tensor]] = {
            "identity": lambda: items,
            "linear": lambda: items @ invertible(generator(seed, "view", member), items.shape[1], 0.7, 1.4).T,
            "projection": lambda: items @ orthogonal(generator(seed, "view", member), items.shape[1]).T,
            "rotation": lambda: _turned(items, self.amount),
            "noise": lambda: items + self.amount * normal(generator(seed, "view", member), *items.shape),
        }
        return ways[self.kind]()


def _turned(items: Tensor, degrees: float) -> Tensor:
    """Returns square images, one a row, turned about their centre with bilinear interpolation."""
    side = math.isqrt(items.shape[1])
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turn = torch.tensor([[cosine, -sine, 0.0], [sine, cosine, 0.0]], dtype=items.dtype)
    grid = torch.nn.functional.affine_grid(turn[None], [1, 1, side, side], align_corners=True)
    images = items.reshape(len(items), 1, side, side)
    seen = torch.nn.functional.grid_sample(images, grid.expand(len(items), -1, -1, -1), align_corners=True)
    return seen.reshape(items.shape)

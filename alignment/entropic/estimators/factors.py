"""Factors: a matrix's gradient on each row as Σ_t l_t r_tᵀ over positions t, and its squared norm without forming it.

    ‖Σ_t l_t r_tᵀ‖² = Σ_{t,s} (l_t·l_s)(r_t·r_s)

counts a weight that is shared over positions right; the product of norms would not.

Source: Goodfellow 2015, arXiv 1510.01799 (one position); Li et al. 2022, arXiv 2110.05679 (shared positions).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable


@dataclass(frozen=True, eq=False)
class Indices:
    """Rows of an identity matrix of `size`, by their numbers: the left factor of an embedding's gradient."""

    values: Int[Tensor, "b t"]
    size: int


Side = Tensor | Indices  # `[b, t, n]`, or what stands for it


@dataclass(frozen=True, eq=False)
class Outer:
    """One use of a matrix `[n, m]`: its gradient on row i is `left[i].T @ right[i]`."""

    left: Side
    right: Float[Tensor, "b t m"]

    @property
    def positions(self) -> int:
        """How often the matrix was used."""
        return self.right.shape[1]


def square_norms(uses: Sequence[Outer]) -> Float[Tensor, " b"]:
    """Returns ‖Σ over all uses of leftᵀ right‖² of each row."""
    total = sum(use.positions for use in uses)
    dense = [use.left for use in uses if isinstance(use.left, Tensor)]
    size = uses[0].right.shape[2] * (dense[0].shape[2] if dense else 0)
    if len(dense) == len(uses) and total * total > size:  # forming it is then the smaller of the two
        return gradients(uses).square().flatten(1).sum(1)
    if len(uses) == 1 and isinstance(uses[0].left, Tensor):
        once: Tensor = _Pairs.apply(uses[0].left, uses[0].right)  # type: ignore[no-untyped-call]
        return once
    found = torch.zeros(len(uses[0].right), dtype=uses[0].right.dtype, device=uses[0].right.device)
    for i, one in enumerate(uses):
        for j, other in enumerate(uses[: i + 1]):
            right = one.right @ other.right.transpose(1, 2)
            pairs = (_products(one.left, other.left, right.dtype) * right).flatten(1).sum(1)
            found = found + (pairs if i == j else 2 * pairs)
    return found


def gradients(uses: Sequence[Outer]) -> Float[Tensor, "b n m"]:
    """Returns each row's gradient itself."""
    return sum(
        (_dense(use.left, use.right.dtype).transpose(1, 2) @ use.right for use in uses[1:]),
        _dense(uses[0].left, uses[0].right.dtype).transpose(1, 2) @ uses[0].right,
    )


class _Pairs(torch.autograd.Function):
    """Σ_{t,s} (l_t·l_s)(r_t·r_s) of each row, whose gradient is 2 Σ_s (r_t·r_s) l_s and its like.

    By hand it takes half the products that autograd would, which sees four factors instead of two.
    """

    @staticmethod
    def forward(ctx: Any, left: Float[Tensor, "b t n"], right: Float[Tensor, "b t m"]) -> Float[Tensor, " b"]:
        """Returns the sums."""
        lefts, rights = left @ left.transpose(1, 2), right @ right.transpose(1, 2)
        ctx.save_for_backward(left, right, lefts, rights)
        return (lefts * rights).flatten(1).sum(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Float[Tensor, " b"]) -> tuple[Tensor, Tensor]:
        """Returns the gradients of both factors."""
        left, right, lefts, rights = ctx.saved_tensors
        weight = 2 * gradient[:, None, None]
        return torch.bmm(weight * rights, left), torch.bmm(weight * lefts, right)


def _dense(side: Side, dtype: torch.dtype) -> Float[Tensor, "b t n"]:
    if isinstance(side, Tensor):
        return side
    return torch.nn.functional.one_hot(side.values, side.size).to(dtype)


def _products(one: Side, other: Side, dtype: torch.dtype) -> Float[Tensor, "b t s"]:
    """Returns the inner products of all positions of one with all of the other."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one @ other.transpose(1, 2)
    if isinstance(one, Indices) and isinstance(other, Indices):
        return (one.values[:, :, None] == other.values[:, None, :]).to(dtype)
    if isinstance(one, Indices) and isinstance(other, Tensor):
        index = one.values[:, None, :].expand(-1, other.shape[1], -1)
        return other.gather(2, index).transpose(1, 2)
    return _products(other, one, dtype).transpose(1, 2)

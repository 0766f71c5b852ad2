"""Remainder: what is left of a stack of centred Gram matrices when some items are gone.

With r the sums of the remaining entries of each remaining row, Σ' K ∘ L the sum over the remaining entries and n' the
items that remain, the biased HSIC is, up to a factor, `Σ' K ∘ L - 2/n' Σ r s + Σ r Σ s / n'²`; the unbiased one is
Song's formula, with the diagonal taken out. The sums of a centred row's remaining entries are minus those of the lost ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment.views import CentredGrams

_PIECE = 1 << 15  # float32 terms summed before float64 takes over


def inner(left: Float[Tensor, "a p"], right: Float[Tensor, "b p"]) -> Float[Tensor, "a b"]:
    """Returns `left @ right.T`, float64, summed in it over pieces short enough for float32."""
    total = torch.zeros(len(left), len(right), dtype=torch.float64, device=left.device)
    for one, other in zip(torch.split(left, _PIECE, dim=1), torch.split(right, _PIECE, dim=1), strict=True):
        total += (one @ other.T).double()
    return total


def _each(left: Float[Tensor, "a p"], right: Float[Tensor, "a p"]) -> Float[Tensor, " a"]:
    """Returns each row's inner product with its own counterpart, float64."""
    return torch.stack([torch.sum(one * other, dtype=torch.float64) for one, other in zip(left, right, strict=True)])


@dataclass(frozen=True, eq=False)
class Remainder:
    """A stack of layers without some items.

    Attributes:
        items: how many remain.
        lost: the lost items' rows, flattened.
        weighted: the same, each entry as often as it is lost: twice, but once where both ends are lost.
        sums: `[layers, n]`, each remaining row's sum over what remains; 0 for the lost.
        diagonal: `[layers, n]`, the remaining diagonal; 0 for the lost.
    """

    items: int
    lost: Float[Tensor, "layers p"]
    weighted: Float[Tensor, "layers p"]
    sums: Float[Tensor, "layers n"]
    diagonal: Float[Tensor, "layers n"]

    @classmethod
    def of(cls, grams: CentredGrams, items: Int[Tensor, " m"]) -> Remainder:
        """Returns what is left of `grams` without `items`."""
        rows = grams.whole_rows(items)
        weights = torch.full((grams.n,), 2, dtype=rows.dtype, device=rows.device)
        weights[items] = 1
        sums, diagonal = -rows.sum(dim=1, dtype=torch.float64), grams.diagonal.clone()
        sums[:, items], diagonal[:, items] = 0, 0
        return cls(grams.n - len(items), rows.flatten(1), (rows * weights).flatten(1), sums, diagonal)

    def dependence(self, other: Remainder, whole: Float[Tensor, "a b"], *, unbiased: bool) -> Float[Tensor, "a b"]:
        """Returns the HSIC of every layer with every layer of `other`, given the whole matrices' inner products."""
        return self._hsic(other, whole - inner(self.weighted, other.lost), lambda x, y: x @ y.T, unbiased=unbiased)

    def dependence_on_itself(self, whole: Float[Tensor, " a"], *, unbiased: bool) -> Float[Tensor, " a"]:
        """Returns the HSIC of every layer with itself, given the whole matrices' squared norms."""
        return self._hsic(self, whole - _each(self.weighted, self.lost), _each, unbiased=unbiased)

    def _hsic(
        self, other: Remainder, left: Tensor, product: Callable[[Tensor, Tensor], Tensor], *, unbiased: bool
    ) -> Tensor:
        n = self.items
        if not unbiased:
            totals = product(self.sums.sum(dim=1, keepdim=True), other.sums.sum(dim=1, keepdim=True))
            return left - 2 / n * product(self.sums, other.sums) + totals / n**2
        mine, theirs = self.sums - self.diagonal, other.sums - other.diagonal
        totals = product(mine.sum(dim=1, keepdim=True), theirs.sum(dim=1, keepdim=True))
        off_diagonal = left - product(self.diagonal, other.diagonal)
        return off_diagonal + totals / ((n - 1) * (n - 2)) - 2 / (n - 2) * product(mine, theirs)

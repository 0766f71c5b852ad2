"""Representational similarity analysis: are the same items unlike one another in two layers?"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment.metrics.facts import Pairing, Values
from alignment.metrics.pairs import inner, inner_permuted
from alignment.views import Contrast, Triangles, Views


class Rsa(Pairing):
    """The correlation, over all pairs of items, of how unlike they are in one layer and in the other.

    A standardised dissimilarity matrix has a zero diagonal, so that the correlations of a whole grid are one product of
    upper triangles, and a permutation re-indexes items as it does in CKA. Every pair of items counts: no subsample.

    Source: Kriegeskorte, Mur and Bandettini 2008, Frontiers in Systems Neuroscience 2:4.
    """

    def __init__(self, a: Views, b: Views, values: Values) -> None:
        contrast = Contrast(values["dissimilarity"], values["correlation"] == "spearman")
        self.a, self.b, self.device = a.dissimilarities(contrast), b.dissimilarities(contrast), a.device

    @property
    def operations(self) -> float:
        """A product of all pairs of items and layers; without all whole matrices, forming them anew as well."""
        product = float(self.a.n**2 * self.a.layers * self.b.layers)
        forming = 0.0 if self.a.whole else self.a.operations
        return product + forming + (0.0 if self.b.whole else self.a.count * self.b.operations)

    def observed(self) -> Float[Tensor, "a b"]:
        """Returns the grid with items paired as they are."""

        def together(one: Triangles, other: Triangles) -> Float[Tensor, "some others"]:
            total = torch.zeros(one.layers, other.layers, dtype=torch.float64, device=one.device)
            for left, right in zip(one.blocks(), other.blocks(), strict=True):
                total += inner(left, right)
            return total

        return self._grid(together)

    def permuted(self, permutation: Int[Tensor, " n"]) -> Float[Tensor, "a b"]:
        """Returns the grid with item i of A paired with item `permutation[i]` of B."""
        back = torch.argsort(permutation)

        def together(one: Triangles, other: Triangles) -> Float[Tensor, "some others"]:
            if other.layers > one.layers:  # what is moved should be the smaller
                return inner_permuted(other, one, back).T
            return inner_permuted(one, other, permutation)

        return self._grid(together)

    def _grid(self, together: Callable[[Triangles, Triangles], Float[Tensor, "some others"]]) -> Float[Tensor, "a b"]:
        """Returns the grid, some layers of each side at a time."""
        rows = [
            torch.cat([together(part_a, part_b) for _, part_b in self.b.parts()], dim=1) for _, part_a in self.a.parts()
        ]
        return torch.cat(rows).clamp(-1, 1)  # only rounding passes 1

    def null_mean(self) -> Float[Tensor, "a b"]:
        """Returns zero: over all permutations every pair of items meets every other alike, and their mean is zero."""
        return torch.zeros(self.a.layers, self.b.layers, dtype=torch.float64, device=self.device)

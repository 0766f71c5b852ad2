"""Representational similarity analysis: are the same items unlike one another in two layers?"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment.metrics.facts import Pairing, Values
from alignment.metrics.pairs import inner, inner_permuted
from alignment.views import Contrast, Views


class Rsa(Pairing):
    """The correlation, over all pairs of items, of how unlike they are in one layer and in the other.

    A standardised dissimilarity matrix has a zero diagonal, so that the correlations of a whole grid are one product of
    upper triangles, and a permutation re-indexes items as it does in CKA. Every pair of items counts: no subsample.

    Source: Kriegeskorte, Mur and Bandettini 2008, Frontiers in Systems Neuroscience 2:4.
    """

    def __init__(self, a: Views, b: Views, values: Values) -> None:
        contrast = Contrast(values["dissimilarity"], values["correlation"] == "spearman")
        self.a, self.b = a.dissimilarities(contrast), b.dissimilarities(contrast)

    @property
    def operations(self) -> float:
        """A product of all pairs of items and layers."""
        return float(self.a.n**2 * self.a.layers * self.b.layers)

    def observed(self) -> Float[Tensor, "a b"]:
        """Returns the grid with items paired as they are."""
        total = torch.zeros(self.a.layers, self.b.layers, dtype=torch.float64, device=self.a.device)
        for left, right in zip(self.a.blocks(), self.b.blocks(), strict=True):
            total += inner(left, right)
        return total.clamp(-1, 1)  # only rounding passes 1

    def permuted(self, permutation: Int[Tensor, " n"]) -> Float[Tensor, "a b"]:
        """Returns the grid with item i of A paired with item `permutation[i]` of B."""
        if self.b.layers > self.a.layers:  # what is moved should be the smaller
            return inner_permuted(self.b, self.a, torch.argsort(permutation)).T.clamp(-1, 1)
        return inner_permuted(self.a, self.b, permutation).clamp(-1, 1)

    def null_mean(self) -> Float[Tensor, "a b"]:
        """Returns zero: over all permutations every pair of items meets every other alike, and their mean is zero."""
        return torch.zeros(self.a.layers, self.b.layers, dtype=torch.float64, device=self.a.device)

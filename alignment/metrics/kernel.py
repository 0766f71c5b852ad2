"""Metrics of kernels: are two layers' Gram matrices dependent?"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment.metrics.facts import Values
from alignment.views import CentredGrams, Kernel, Views

_ROWS = 32  # gathered at a time: what they bring stays in the cache until it is multiplied
_PIECE = 1 << 15  # float32 terms summed before float64 takes over


class Cka:
    """Centred kernel alignment, HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)), for a grid of layers as one matrix product.

    Up to a factor that the ratio takes out, the biased HSIC of centred Grams is `2 Σ_{i<j} K_ij L_ij + Σ_i K_ii L_ii`.
    The unbiased one differs in the weight of the diagonals alone (`views.grams` says why):
    n(n-3) HSIC_u = 2 Σ_{i<j} K_ij L_ij - 2/(n-2) Σ_i K_ii L_ii + Σ_i K_ii Σ_i L_ii / ((n-1)(n-2)).

    Source: Kornblith et al. 2019, arXiv 1905.00414; the unbiased estimator Song et al. 2012, JMLR 13.
    """

    def __init__(self, a: Views, b: Views, values: Values, *, unbiased: bool) -> None:
        kernel = Kernel(values["kernel"], values["bandwidth"])
        self.a, self.b = a.grams(kernel), b.grams(kernel)
        n = a.items
        self.weight = -2 / (n - 2) if unbiased else 1.0
        self.constant = 1 / ((n - 1) * (n - 2)) if unbiased else 0.0
        scale_a, scale_b = (_usable(self._self_terms(grams), grams) for grams in (self.a, self.b))
        self.scale = torch.outer(scale_a.rsqrt(), scale_b.rsqrt())

    @property
    def operations(self) -> float:
        """A product of all pairs of items and layers; without the whole matrices, forming them anew as well."""
        product = float(self.a.n**2 * self.a.layers * self.b.layers)
        return product if self.b.spread() is not None else product + self.b.operations + self.a.operations

    def observed(self) -> Float[Tensor, "a b"]:
        """Returns the grid with items paired as they are."""
        cross = torch.zeros_like(self.scale)
        for left, right in zip(self.a.blocks(), self.b.blocks(), strict=True):
            cross += _inner(left, right)
        return self._score(cross, self.b.diagonal)

    def permuted(self, permutation: Int[Tensor, " n"]) -> Float[Tensor, "a b"]:
        """Returns the grid with item i of A paired with item `permutation[i]` of B."""
        if self.b.layers > self.a.layers and self.a.spread() is not None:  # what is moved should be the smaller
            back = torch.argsort(permutation)
            cross = _cross_permuted(self.b, self.a, back).T
        else:
            cross = _cross_permuted(self.a, self.b, permutation)
        return self._score(cross, self.b.diagonal[:, permutation])

    def _score(self, cross: Float[Tensor, "a b"], diagonal_b: Float[Tensor, "b n"]) -> Float[Tensor, "a b"]:
        diagonals = self.a.diagonal @ diagonal_b.T
        traces = torch.outer(self.a.diagonal.sum(dim=1), diagonal_b.sum(dim=1))
        score = (2 * cross + self.weight * diagonals + self.constant * traces) * self.scale
        return score.clamp(-1, 1)  # both estimators are inner products: only rounding passes 1

    def _self_terms(self, grams: CentredGrams) -> Float[Tensor, " layers"]:
        squares = torch.zeros(grams.layers, dtype=torch.float64, device=grams.diagonal.device)
        for block in grams.blocks():
            squares += _inner_rows(block)
        diagonal = grams.diagonal
        return 2 * squares + self.weight * diagonal.square().sum(dim=1) + self.constant * diagonal.sum(dim=1).square()


def _cross_permuted(fixed: CentredGrams, moved: CentredGrams, permutation: Int[Tensor, " n"]) -> Float[Tensor, "f m"]:
    """Returns `Σ_{i<j} K_ij L_π(i)π(j)` for every fixed and moved layer."""
    total = torch.zeros(fixed.layers, moved.layers, dtype=torch.float64, device=permutation.device)
    spread = moved.spread()
    for number in range(len(fixed)):
        block = fixed.block(number)
        if spread is None:
            total += _inner(block, moved.block(number, permutation))
            continue
        start, stop = fixed.rows(number)
        width = fixed.n - start
        for first in range(start, stop, _ROWS):
            rows = permutation[first : min(first + _ROWS, stop)]
            # fixed is zero on and below the diagonal, so that moved may be anything there
            pairs = spread.index_select(0, rows).index_select(1, permutation[start:]).flatten(0, 1)
            here = block[:, (first - start) * width :][:, : len(pairs)]
            total += (here @ pairs)[:, : moved.layers].double()
    return total


def _inner(left: Float[Tensor, "a p"], right: Float[Tensor, "b p"]) -> Float[Tensor, "a b"]:
    """Returns `left @ right.T`, summed in float64 over pieces short enough for float32."""
    total = torch.zeros(len(left), len(right), dtype=torch.float64, device=left.device)
    for one, other in zip(torch.split(left, _PIECE, dim=1), torch.split(right, _PIECE, dim=1), strict=True):
        total += (one @ other.T).double()
    return total


def _inner_rows(block: Float[Tensor, "layers p"]) -> Float[Tensor, " layers"]:
    """Returns each row's squared length, float64."""
    return torch.stack([torch.linalg.vector_norm(row, dtype=torch.float64).square() for row in block])


def _usable(terms: Float[Tensor, " layers"], grams: CentredGrams) -> Float[Tensor, " layers"]:
    """Returns the self-terms, NaN where one is zero or less but for rounding: the score then has no meaning."""
    size = grams.diagonal.square().sum(dim=1)
    return torch.where(terms > 1e-12 * size, terms, torch.nan)

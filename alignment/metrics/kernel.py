"""Metrics of kernels: are two layers' Gram matrices dependent?"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment.metrics import crossproducts
from alignment.metrics.facts import InfluencePairing, Values
from alignment.metrics.moments import NullMoments, third_moment, variance
from alignment.metrics.pairs import inner, inner_permuted
from alignment.views import CentredGrams, Kernel, Summary, Views, ahead

_FEWEST, _MOST = 30, 4096  # items that moments describe a tail from, and that a cube of them is worth
# The largest share of a Gram's squares in one row, and that times the root of n, with which three moments tell the tail
# as far as p = 0.001: tests/benchmarks/tails.py prints how well
_DOMINANT, _UNEVEN = 0.08, 0.6


class Sided(NamedTuple):
    """One layer of one side: its centred features, its Gram's diagonal, and what U-centres it."""

    features: Float[Tensor, "n d"]
    diagonal: Float[Tensor, " n"]
    shift: Float[Tensor, " n"]


class Cka(InfluencePairing):
    """Centred kernel alignment, HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)), for a grid of layers as one matrix product.

    Up to a factor that the ratio takes out, the biased HSIC of centred Grams is `2 Σ_{i<j} K_ij L_ij + Σ_i K_ii L_ii`.
    The unbiased one differs in the weight of the diagonals alone (`views.grams` says why):
    n(n-3) HSIC_u = 2 Σ_{i<j} K_ij L_ij - 2/(n-2) Σ_i K_ii L_ii + Σ_i K_ii Σ_i L_ii / ((n-1)(n-2)).

    Source: Kornblith et al. 2019, arXiv 1905.00414; the unbiased estimator Song et al. 2012, JMLR 13.
    """

    def __init__(self, a: Views, b: Views, values: Values, *, unbiased: bool) -> None:
        kernel = Kernel(values["kernel"], values["bandwidth"])
        self.a, self.b, self.unbiased = a.grams(kernel), b.grams(kernel), unbiased
        n, self.ahead = a.items, ahead.runs_ahead(a.device)
        self.weight = -2 / (n - 2) if unbiased else 1.0
        self.constant = 1 / ((n - 1) * (n - 2)) if unbiased else 0.0
        features_a, features_b = self.a.features, self.b.features
        linear = kernel.name == "linear" and not self.a.held and not self.b.held
        self.through_features = linear and crossproducts.cheaper(features_a, features_b)
        self.squares_a, self.squares_b = self._squares(self.a), self._squares(self.b)
        scale_a, scale_b = self._own(self.a, self.squares_a), self._own(self.b, self.squares_b)
        self.scale = torch.outer(scale_a.rsqrt(), scale_b.rsqrt())
        self.cross: Float[Tensor, "a b"] | None = None

    @property
    def operations(self) -> float:
        """A product of all pairs of items and layers; without the whole matrices, forming blocks anew as well."""
        if self.through_features:
            return 2.0 * self.a.n * sum(x.shape[1] for x in self.a.features) * sum(y.shape[1] for y in self.b.features)
        product = float(self.a.n**2 * self.a.layers * self.b.layers)
        moved, fixed = (self.a, self.b) if self._moves_a else (self.b, self.a)
        forming = 0.0 if moved.spread() is not None else moved.operations
        return product + forming + (0.0 if fixed.held else fixed.operations)

    @property
    def _moves_a(self) -> bool:
        return self.b.layers > self.a.layers and self.a.spread() is not None  # what is moved should be the smaller

    def observed(self) -> Float[Tensor, "a b"]:
        """Returns the grid with items paired as they are."""
        return self._score(self._cross(), self.b.diagonal)

    def permuted(self, permutation: Int[Tensor, " n"]) -> Float[Tensor, "a b"]:
        """Returns the grid with item i of A paired with item `permutation[i]` of B."""
        diagonal = self.b.diagonal[:, permutation]
        if self.through_features:
            whole = crossproducts.cross(self.a.features, self.b.features, permutation)
            return self._score((whole - self.a.diagonal @ diagonal.T) / 2, diagonal)
        if self._moves_a:
            back = torch.argsort(permutation)
            cross = inner_permuted(self.b, self.a, back).T
        else:
            cross = inner_permuted(self.a, self.b, permutation)
        return self._score(cross, diagonal)

    def _score(self, cross: Float[Tensor, "a b"], diagonal_b: Float[Tensor, "b n"]) -> Float[Tensor, "a b"]:
        diagonals = self.a.diagonal @ diagonal_b.T
        traces = torch.outer(self.a.diagonal.sum(dim=1), diagonal_b.sum(dim=1))
        score = (2 * cross + self.weight * diagonals + self.constant * traces) * self.scale
        return score.clamp(-1 if self.unbiased else 0, 1)  # both estimators are inner products: only rounding passes 1

    def null_mean(self) -> Float[Tensor, "a b"]:
        """Returns each cell's mean over all permutations."""
        if self.unbiased:
            return torch.zeros_like(self.scale)
        traces = torch.outer(self.a.diagonal.sum(dim=1), self.b.diagonal.sum(dim=1))
        return traces / (self.a.n - 1) * self.scale

    def null_moments(self) -> NullMoments | None:
        """Returns each cell's first three moments over all permutations; None for few items, or too many to hold."""
        n = self.a.n
        if not _FEWEST <= n <= _MOST or not (self.a.held and self.b.held):
            return None
        a, b = (grams.summary(unbiased=self.unbiased) for grams in (self.a, self.b))
        rows, columns = _broadcast(a, 1), _broadcast(b, 0)
        spread = variance(rows, columns, n).clamp(min=0).sqrt()
        return NullMoments(
            mean=self.null_mean(),
            deviation=spread * self.scale,
            skewness=third_moment(rows, columns, n) / spread**3,
            dominated=torch.maximum(rows.most, columns.most) > min(_DOMINANT, _UNEVEN / n**0.5),
        )

    def influences(self, group: Int[Tensor, " n"], groups: int) -> Float[Tensor, "groups a b"]:
        """Returns each group's influence, from its rows of `K ∘ L`, `K ∘ K` and `L ∘ L`.

        With X and Y the self terms and C the cross term, the score C / sqrt(X Y) moves by
        2 (c_i / sqrt(X Y) - s x_i / 2X - s y_i / 2Y) for item i, with c_i, x_i and y_i its rows of the terms.
        An rbf kernel's bandwidth is held.
        """
        shape = (groups, self.a.layers, self.b.layers)
        if self.through_features:
            cross, own_a, own_b = self._rows_through_features(group, groups)
            return self._moved(cross, own_a, own_b)
        cross, own_a, own_b = (
            torch.zeros(size, dtype=torch.float64, device=group.device)
            for size in (shape, shape[:2], (groups, shape[2]))
        )
        wide = torch.promote_types(self.a.dtype, self.b.dtype)  # one side may be float64, the other float32
        step = max(1, self.a.budget // (8 * self.a.n * (self.a.layers + self.b.layers) * self.a.element_bytes))
        for items in torch.split(torch.arange(self.a.n, device=group.device), step):
            rows_a, rows_b = (self._rows(grams, items).to(wide) for grams in (self.a, self.b))
            where = group[items]
            ahead.add_by(cross, where, (rows_a @ rows_b.transpose(1, 2)).double(), ahead=self.ahead)
            ahead.add_by(own_a, where, rows_a.square().sum(dim=2, dtype=torch.float64), ahead=self.ahead)
            ahead.add_by(own_b, where, rows_b.square().sum(dim=2, dtype=torch.float64), ahead=self.ahead)
        return self._moved(cross, own_a, own_b)

    def _moved(
        self, cross: Float[Tensor, "g a b"], own_a: Float[Tensor, "g a"], own_b: Float[Tensor, "g b"]
    ) -> Float[Tensor, "g a b"]:
        share_a, share_b = own_a / own_a.sum(dim=0), own_b / own_b.sum(dim=0)
        score = self.observed()
        scale = torch.outer(own_a.sum(dim=0), own_b.sum(dim=0)).rsqrt()
        return 2 * cross * scale - score * (share_a.unsqueeze(2) + share_b.unsqueeze(1))

    def _rows_through_features(
        self, group: Int[Tensor, " n"], groups: int
    ) -> tuple[Float[Tensor, "g a b"], Float[Tensor, "g a"], Float[Tensor, "g b"]]:
        """Returns each group's rows of the cross terms and of both sides' self terms."""

        def summed(x: Sided, y: Sided) -> Float[Tensor, " groups"]:
            nothing = torch.zeros(groups, dtype=torch.float64, device=group.device)
            return ahead.add_by(nothing, group, self._row_terms(x, y), ahead=self.ahead)

        side_a, side_b = (
            [Sided(*one) for one in zip(grams.features, grams.diagonal, grams.shift().double(), strict=True)]
            for grams in (self.a, self.b)
        )
        cross = torch.stack([torch.stack([summed(x, y) for y in side_b], dim=1) for x in side_a], dim=1)
        own_a, own_b = (torch.stack([summed(x, x) for x in side], dim=1) for side in (side_a, side_b))
        return cross, own_a, own_b

    def _row_terms(self, x: Sided, y: Sided) -> Float[Tensor, " n"]:
        """Returns each item's row sum of the product of the two matrices; U-centred ones have a zero diagonal."""
        terms = crossproducts.rows(x.features, y.features)
        if not self.unbiased:
            return terms
        n, k, m, alpha, beta = self.a.n, x.diagonal, y.diagonal, x.shift, y.shift
        # Σ_{j≠i} (K_ij + α_i + α_j)(L_ij + β_i + β_j); a centred row's other entries sum to minus its diagonal entry
        terms = terms - k * m
        terms += -k * beta + crossproducts.images(x.features, beta) - k * beta
        terms += -m * alpha + crossproducts.images(y.features, alpha) - m * alpha
        mixed = alpha * (beta.sum() - beta) + beta * (alpha.sum() - alpha) + ((alpha * beta).sum() - alpha * beta)
        return terms + (n - 1) * alpha * beta + mixed

    def _rows(self, grams: CentredGrams, items: Int[Tensor, " m"]) -> Float[Tensor, "m layers n"]:
        """Returns some items' rows of the matrices whose inner products the estimator is."""
        rows = grams.whole_rows(items).transpose(0, 1)
        if self.unbiased:
            shift = grams.shift()
            rows = rows + shift[:, items].T.unsqueeze(2) + shift
            rows[torch.arange(len(items), device=items.device), :, items] = 0
        return rows

    def _cross(self) -> Float[Tensor, "a b"]:
        if self.cross is None:
            if self.through_features:
                whole = crossproducts.cross(self.a.features, self.b.features)
                self.cross = (whole - self.a.diagonal @ self.b.diagonal.T) / 2
                return self.cross
            self.cross = torch.zeros_like(self.scale)
            for left, right in zip(self.a.blocks(), self.b.blocks(), strict=True):
                self.cross += inner(left, right)
        return self.cross

    def _own(self, grams: CentredGrams, squares: Float[Tensor, " layers"]) -> Float[Tensor, " layers"]:
        """Returns each layer's dependence on itself, NaN where it is zero or less but for rounding."""
        diagonal = grams.diagonal
        noise = 1e-12 if grams.dtype == torch.float64 else 1e-6  # a share of the squares that rounding can make up
        own = 2 * squares + self.weight * diagonal.square().sum(dim=1) + self.constant * diagonal.sum(dim=1).square()
        return torch.where(own > noise * diagonal.square().sum(dim=1), own, torch.nan)

    def _squares(self, grams: CentredGrams) -> Float[Tensor, " layers"]:
        """Returns the sum of each layer's squares above the diagonal."""
        if self.through_features:
            return (crossproducts.squares(grams.features) - grams.diagonal.square().sum(dim=1)) / 2
        total = torch.zeros(grams.layers, dtype=torch.float64, device=grams.diagonal.device)
        for block in grams.blocks():
            total += torch.stack([torch.linalg.vector_norm(row, dtype=torch.float64).square() for row in block])
        return total


def _broadcast(summary: Summary, axis: int) -> Summary:
    return Summary(**{name: getattr(summary, name).unsqueeze(axis) for name in Summary.__dataclass_fields__})

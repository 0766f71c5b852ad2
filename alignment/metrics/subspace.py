"""Metrics of subspaces: can the directions of one layer be laid on those of the other?

All of them decompose one small matrix a cell, in float64.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment.metrics.facts import Pairing, Values
from alignment.views import Views
from alignment.views.bases import Padded

Norm = Callable[[Tensor], Tensor]
_DIRECTIONS = 10
# Floating-point operations of a decomposition of an [m, m] matrix, in m³
_SINGULAR_VALUES = 8 / 3
_EIGENVECTORS = 9.0
# Of the largest eigenvalue: one below it may be rounding, up to 1e-15 of the largest, whose root is 3e-8
_NOTHING, _FEW = 1e-9, 3


class Svcca(Pairing):
    """The mean canonical correlation of the top min(10, ranks) left singular vectors of standardised columns.

    The ranks are both sides': r = min(10, rank A, rank B) vectors of each, whose canonical correlations are the
    singular values of U1ᵀ U2. The vectors are exact, where the paper's code and its descendants draw them at random.

    Source: Raghu et al. 2017, "SVCCA", arXiv 1706.05806; in this form Huh et al. 2024, arXiv 2405.07987.
    """

    def __init__(self, a: Views, b: Views, values: Values) -> None:
        # ten columns a layer, which are kept whatever the budget
        self.a, self.b = (
            torch.stack([top for _, part in _vectors(side, _DIRECTIONS).parts() for top in part]) for side in (a, b)
        )
        ranks_a, ranks_b = _ranks(a), _ranks(b)
        self.count = torch.minimum(ranks_a.unsqueeze(1), ranks_b).clamp(max=_DIRECTIONS)

    @property
    def operations(self) -> float:
        """A product of all directions, and the singular values of a 10 by 10 matrix a cell."""
        cells = self.count.numel()
        return cells * (2.0 * self.a.shape[1] * _DIRECTIONS**2 + _SINGULAR_VALUES * _DIRECTIONS**3)

    def observed(self) -> Float[Tensor, "a b"]:
        """Returns the grid with items paired as they are."""
        return self._score(self.b, _nuclear)

    def permuted(self, permutation: Int[Tensor, " n"]) -> Float[Tensor, "a b"]:
        """Returns the grid with item i of A paired with item `permutation[i]` of B."""
        return self._score(self.b[:, permutation], _nearly_nuclear)

    def _score(self, b: Float[Tensor, "b n r"], norm: Norm) -> Float[Tensor, "a b"]:
        products = torch.einsum("anr,bns->abrs", self.a, b)
        place = torch.arange(_DIRECTIONS, device=b.device)
        taken = place < self.count.unsqueeze(2)  # the smaller rank is the other side's too
        products = products * (taken.unsqueeze(3) & taken.unsqueeze(2))
        return (norm(products) / self.count).clamp(max=1)  # 0 / 0 is NaN


class Pwcca(Pairing):
    """The canonical correlations of two layers, each weighted by how much of the first layer its variate takes up.

    With h_i the unit canonical variates of the first side, z_j its standardised columns and ρ_i the min(ranks)
    canonical correlations, the score is Σ α_i ρ_i / Σ α_i with α_i = Σ_j |h_i · z_j|. There is none unless the items
    outnumber both ranks together: below that some correlations are 1 by dimension alone. Ranks are the layers' widths
    without constant or linearly dependent columns.

    Source: Morcos, Raghu and Bengio 2018, arXiv 1806.05759.
    """

    def __init__(self, a: Views, b: Views, values: Values) -> None:
        self.n = a.items
        self.ranks_a, self.ranks_b = _ranks(a), _ranks(b)
        self.count = torch.minimum(self.ranks_a.unsqueeze(1), self.ranks_b)
        self.meant = (self.ranks_a.unsqueeze(1) + self.ranks_b < self.n) & (self.count > 0)
        self.a, self.b = _vectors(a), _vectors(b)
        self.bases = a.bases()

    @property
    def operations(self) -> float:
        """For each cell with a score: a product of the vectors, its square, and the eigenvectors of that."""
        ranks_a, ranks_b = self.ranks_a.double().unsqueeze(1), self.ranks_b.double()
        widths = torch.tensor([len(basis.mean) for basis in self.bases], device=ranks_b.device).unsqueeze(1)
        cell = 2 * self.n * ranks_a * ranks_b + 2 * ranks_a**2 * (ranks_b + widths) + _EIGENVECTORS * ranks_a**3
        return float((cell * self.meant).sum())

    def observed(self) -> Float[Tensor, "a b"]:
        """Returns the grid with items paired as they are."""
        return self._score(None)

    def permuted(self, permutation: Int[Tensor, " n"]) -> Float[Tensor, "a b"]:
        """Returns the grid with item i of A paired with item `permutation[i]` of B."""
        return self._score(permutation)

    def _score(self, permutation: Int[Tensor, " n"] | None) -> Float[Tensor, "a b"]:
        scores = torch.full(self.meant.shape, torch.nan, dtype=torch.float64, device=self.meant.device)
        for row in self.meant.any(dim=1).nonzero().flatten().tolist():
            rank = int(self.ranks_a[row])
            ours = self.a.layer(row)[:, :rank]
            loadings = ours.T @ self.bases[row].columns()
            for where, theirs in self.b.parts():
                here = self.meant[row, where].nonzero().flatten()
                moved = theirs[here] if permutation is None else theirs[here][:, permutation]
                products = ours.T @ moved
                squares, variates = torch.linalg.eigh(products @ products.mT)
                weights = (variates.mT @ loadings).abs().sum(dim=2)
                # ascending: the last ones are those that the other side has as well
                weights = weights * (
                    torch.arange(rank, 0, -1, device=here.device) <= self.count[row, where][here, None]
                )
                found = (weights * squares.clamp(0, 1).sqrt()).sum(dim=1) / weights.sum(dim=1)
                scores[row, where.start + here] = found
        return scores


class Procrustes(Pairing):
    """‖XcᵀYc‖_* / (‖Xc‖_F ‖Yc‖_F): the cosine of the angle that is left after the best rotation.

    A rotation that lays one layer on the other leaves the nuclear norm to be compared, which depends on the layers
    through their Gram matrices alone, so that a layer wider than items are many is cut to a factor of its own.

    Source: Williams et al. 2021, "Generalized Shape Metrics on Neural Representations", arXiv 2110.14739.
    """

    def __init__(self, a: Views, b: Views, values: Values) -> None:
        self.n, self.a, self.b = a.items, a.factors(), b.factors()

    @property
    def operations(self) -> float:
        """A product of the factors and its singular values, a cell."""
        small, large = sorted((self.a.width, self.b.width))
        decomposition = 2.0 * small**2 * (large - small) + _SINGULAR_VALUES * small**3
        return self.a.layers * self.b.layers * (2.0 * self.n * small * large + decomposition)

    def observed(self) -> Float[Tensor, "a b"]:
        """Returns the grid with items paired as they are."""
        return self._score(None, _nuclear)

    def permuted(self, permutation: Int[Tensor, " n"]) -> Float[Tensor, "a b"]:
        """Returns the grid with item i of A paired with item `permutation[i]` of B."""
        return self._score(permutation, _nearly_nuclear)

    def _score(self, permutation: Int[Tensor, " n"] | None, norm: Norm) -> Float[Tensor, "a b"]:
        parts = []
        for _, theirs in self.b.parts():
            moved = theirs if permutation is None else theirs.index_select(1, permutation)
            beside = moved.transpose(0, 1).flatten(1)  # of all layers, for one product with each of A's
            sizes, rows = torch.linalg.matrix_norm(theirs), []
            for row in range(self.a.layers):
                ours = self.a.layer(row)
                products = (ours.T @ beside).view(-1, *theirs.shape[::2]).transpose(0, 1)
                lengths = torch.linalg.matrix_norm(ours) * sizes
                rows.append(norm(products) / torch.where(lengths > 0, lengths, torch.nan))
            parts.append(torch.stack(rows))
        return torch.cat(parts, dim=1).clamp(max=1)


def _nuclear(matrices: Float[Tensor, "*cells p q"]) -> Float[Tensor, "*cells"]:
    """Returns the sum of each matrix's singular values."""
    total: Tensor = torch.linalg.svdvals(matrices).sum(dim=-1)
    return total


def _nearly_nuclear(matrices: Float[Tensor, "*cells p q"]) -> Float[Tensor, "*cells"]:
    """Returns the sum of each matrix's singular values, to 2e-7 of it, in about half the time.

    They are the roots of its square's eigenvalues. That of one that is no more than rounding is off by 3e-8 of the
    largest, and where more than a few are such the matrix itself is decomposed.
    """
    wide = matrices.shape[-1] > matrices.shape[-2]
    values = torch.linalg.eigvalsh(matrices @ matrices.mT if wide else matrices.mT @ matrices).clamp(min=0)
    total: Tensor = values.sqrt().sum(dim=-1)
    unsure = (values < _NOTHING * values[..., -1:]).sum(dim=-1) > _FEW
    if unsure.any():
        total[unsure] = _nuclear(matrices[unsure])
    return total


def _vectors(views: Views, most: int | None = None) -> Padded:
    """Returns each layer's left singular vectors, largest first, with zeros after the last."""
    bases = views.bases()
    width = max(basis.rank for basis in bases) if most is None else most

    def vectors(index: int) -> Float[Tensor, "n r"]:
        return bases[index].vectors(most)

    return Padded(vectors, len(bases), views.items, width, budget=views.budget)


def _ranks(views: Views) -> Int[Tensor, " layers"]:
    return torch.tensor([basis.rank for basis in views.bases()], device=views.device)

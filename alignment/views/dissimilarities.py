"""Dissimilarities: how unlike every two items are, a stack of layers at once, ready to be correlated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment.errors import OverBudgetError
from alignment.preprocessing import PreparedLayer
from alignment.views.neighbours import symmetric_product
from alignment.views.ranks import ranks
from alignment.views.triangles import Triangles

_CLOSE = 2.0**-5  # of the two items' squares: below it their products cancel, and differences are taken
_SAME = 2.0**-49  # of an item's length: items as near as this are one, but for the rounding of how long they are
_PAIRS = 1 << 22  # values gathered at a time while differences are taken
_COPIES = 4  # of some items' features in float64, that making points of them takes at once
_RANKING = 200.0  # floating-point operations that ranking a pair of items takes as long as


@dataclass(frozen=True)
class Contrast:
    """What a dissimilarity matrix is made with.

    Attributes:
        dissimilarity: `sqeuclidean`, or `correlation`: 1 less the correlation of two items across features.
        ranked: whether ranks take the values' place, ties averaged.
    """

    dissimilarity: Literal["sqeuclidean", "correlation"] = "sqeuclidean"
    ranked: bool = True


class Dissimilarities:
    """A stack of dissimilarity matrices, standardised: over the pairs of items the mean is 0 and the squares sum to 1.

    The sum of the products of two of them is then the correlation. A layer without variation, or with an item that has
    no correlation with anything, is all NaN.

    They are handed out some layers at a time. All at once, and kept, where that fits the budget; else as many as fit,
    formed anew each time; and where not even one fits, in blocks that are formed from the features.

    Attributes:
        n: how many items.
        layers: how many layers.
    """

    def __init__(self, layers: Sequence[PreparedLayer], contrast: Contrast, *, budget: int) -> None:
        """Takes over the layers, and forms nothing yet.

        Raises:
            OverBudgetError: if ranks are wanted and one layer's do not fit the budget, in bytes: a rank is a place
                among all pairs, so that no block has its ranks to itself.
        """
        self.n, self.layers = len(layers[0].values), len(layers)
        self._prepared, self._contrast, self._budget = layers, contrast, budget
        self._dtype = torch.float64 if any(x.precision == torch.float64 for x in layers) else torch.float32
        one = self._room(1).spread_bytes
        self._streamed = one > budget
        if self._streamed and contrast.ranked:
            raise OverBudgetError(
                f"the ranks of all pairs of {self.n} items need {one / 2**30:.1f} GiB a layer, more than the "
                f"{budget / 2**30:.1f} GiB of the budget; take fewer samples, or correlation=pearson"
            )
        self._step = self.layers
        while not self._streamed and self._room(self._step).spread_bytes > budget:
            self._step -= 1
        self._kept: Triangles | None = None

    @property
    def whole(self) -> bool:
        """Whether all layers are there at once, whole."""
        return self._step == self.layers and not self._streamed

    @property
    def count(self) -> int:
        """How many parts there are."""
        return -(-self.layers // self._step)

    @property
    def operations(self) -> float:
        """About how many floating-point operations forming the stack takes."""
        each = _RANKING if self._contrast.ranked else 0.0
        return self.n**2 * sum(layer.values.shape[1] + each for layer in self._prepared)

    def parts(self) -> Iterator[tuple[slice, Triangles]]:
        """Yields as many layers at a time as fit."""
        for start in range(0, self.layers, self._step):
            where = slice(start, min(start + self._step, self.layers))
            yield where, self._part(where)

    def _part(self, where: slice) -> Triangles:
        if self._kept is not None:
            return self._kept
        part: Triangles
        if self._streamed:
            part = _Streamed(self._prepared, self._contrast, self._dtype, self._budget)
        else:
            part = self._room(where.stop - where.start)
            part.hold()
            above = torch.ones(self.n, self.n, dtype=torch.bool, device=part.device).triu_(1)
            for index, layer in enumerate(self._prepared[where]):
                matrix = _dissimilarity(layer, self._contrast)
                values = matrix[above]
                if self._contrast.ranked:
                    values = ranks(values)
                whole = torch.linalg.vector_norm(values)
                values = values - values.mean()
                length = torch.linalg.vector_norm(values)
                matrix[above] = values / torch.where(_varies(length, whole), length, torch.nan)
                part.put(index, matrix)
        if where.stop - where.start == self.layers:
            self._kept = part
        return part

    def _room(self, layers: int) -> Triangles:
        device = self._prepared[0].values.device
        return Triangles(layers, self.n, dtype=self._dtype, device=device, budget=self._budget)


class _Streamed(Triangles):
    """Standardised dissimilarities of which blocks are formed from the features, each time that they are asked for."""

    def __init__(self, layers: Sequence[PreparedLayer], contrast: Contrast, dtype: torch.dtype, budget: int) -> None:
        device = layers[0].values.device
        super().__init__(len(layers), len(layers[0].values), dtype=dtype, device=device, budget=budget)
        self._prepared, self._kind = layers, contrast.dissimilarity
        self._centres = [layer.mean() for layer in layers]
        pairs = self.n * (self.n - 1) / 2
        self._means, self._lengths = torch.zeros(2, self.layers, dtype=torch.float64, device=device)
        self._means = torch.stack([self._total(index, 0.0, 1) for index in range(self.layers)]) / pairs
        whole = torch.stack([self._total(index, 0.0, 2) for index in range(self.layers)]).sqrt()
        spread = torch.stack([self._total(index, mean, 2) for index, mean in enumerate(self._means)]).sqrt()
        self._lengths = torch.where(_varies(spread, whole), spread, torch.nan)

    def block(self, number: int, permutation: Int[Tensor, " n"] | None = None) -> Float[Tensor, "layers packed"]:
        start, stop = self.rows(number)
        blocks = []
        for index in range(self.layers):
            entries = self._entries(index, number, permutation)
            entries = entries.sub_(self._means[index]).div_(self._lengths[index])
            entries[:, : stop - start].triu_(1)
            blocks.append(entries.flatten().to(self.dtype))
        return torch.stack(blocks)

    def _entries(self, index: int, number: int, permutation: Int[Tensor, " n"] | None = None) -> Float[Tensor, "r c"]:
        start, stop = self.rows(number)
        points, squares = self._located(index, start, stop, permutation)
        out = torch.empty(stop - start, self.n - start, dtype=torch.float64, device=self.device)
        width = self._prepared[index].values.shape[1]
        step = max(len(points), self.budget // (_COPIES * 8 * width))
        for at in range(start, self.n, step):
            self._fill(out[:, at - start : at - start + step], points, squares, index, at, permutation)
        return out

    def _fill(
        self,
        out: Float[Tensor, "r c"],
        points: Float[Tensor, "r d"],
        squares: Float[Tensor, " r"],
        index: int,
        at: int,
        permutation: Int[Tensor, " n"] | None,
    ) -> None:
        """Writes how unlike some items are to those from place `at` on."""
        others, lengths = self._located(index, at, at + out.shape[1], permutation)
        _unlike(torch.mm(points, others.T, out=out), squares, lengths, self._kind).clamp_(min=0)

    def _located(
        self, index: int, start: int, stop: int, permutation: Int[Tensor, " n"] | None
    ) -> tuple[Float[Tensor, "r d"], Float[Tensor, " r"]]:
        where = slice(start, stop) if permutation is None else permutation[start:stop]
        return _points(self._prepared[index].rows(where), self._kind, self._centres[index])

    def _total(self, index: int, shift: Tensor | float, power: int) -> Float[Tensor, ""]:
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        for number in range(len(self)):
            start, stop = self.rows(number)
            entries = self._entries(index, number).sub_(shift).pow_(power)
            entries[:, : stop - start].triu_(1)
            total += entries.sum()
        return total


def _varies(length: Tensor, whole: Tensor) -> Tensor:
    return length > 1e-12 * whole  # equal values are off their mean by rounding, which is no variation


def _points(
    features: Float[Tensor, "r d"], kind: str, centre: Float[Tensor, " d"]
) -> tuple[Float[Tensor, "r d"], Float[Tensor, " r"]]:
    """Returns items as points between which distances are taken, and their squared lengths.

    For `correlation` each has a mean of zero and unit length, and no such point is there for an item without variation.
    """
    if kind == "sqeuclidean":  # the shift is nothing to distances, and without it less is taken from each other
        points = features - centre
        return points, points.square().sum(dim=1)
    whole = torch.linalg.vector_norm(features, dim=1, keepdim=True)
    points = features - features.mean(dim=1, keepdim=True)
    lengths = torch.linalg.vector_norm(points, dim=1, keepdim=True)
    points = points / torch.where(_varies(lengths, whole), lengths, torch.nan)
    return points, torch.ones_like(points[:, 0])


def _unlike(
    products: Float[Tensor, "r c"], rows: Float[Tensor, " r"], columns: Float[Tensor, " c"], kind: str
) -> Float[Tensor, "r c"]:
    """Returns the dissimilarities from the products of points, which it writes over, and their squared lengths."""
    if kind == "correlation":
        return products.neg_().add_(1)
    return products.mul_(-2).add_(columns.unsqueeze(0)).add_(rows.unsqueeze(1))


def _dissimilarity(layer: PreparedLayer, contrast: Contrast) -> Float[Tensor, "n n"]:
    """Returns the whole matrix, float64: ranks see the smallest difference, and float32 products have them in doubt."""
    features, kind = layer.rows(slice(None)), contrast.dissimilarity
    centre = features.mean(dim=0)
    if contrast.ranked:  # an item far out would draw the mean away from the others; the median one is among them
        centre = features[(features - centre).square().sum(dim=1).median(dim=0).indices]
    points, squares = _points(features, kind, centre)
    distances = _unlike(symmetric_product(points), squares, squares, kind).clamp_(min=0).fill_diagonal_(0)
    if contrast.ranked:
        _refine(distances, points, squares, kind)
        rounding = features.square().sum(dim=1) * _SAME**2
        if kind == "correlation":
            rounding = rounding / (features - features.mean(dim=1, keepdim=True)).square().sum(dim=1)
        distances.masked_fill_(distances <= rounding.unsqueeze(1) + rounding, 0)
    return distances


def _refine(
    distances: Float[Tensor, "n n"], points: Float[Tensor, "n d"], squares: Float[Tensor, " n"], kind: str
) -> None:
    """Takes the upper triangle's small distances from differences, so that all are good to so many digits of their own.

    From products they are good to so many digits of the items' squared lengths, which is not enough to see ties among
    items that are near each other and far from the rest.
    """
    share, factor = (_CLOSE, 1.0) if kind == "sqeuclidean" else (_CLOSE / 2, 0.5)
    close = distances < share * (squares.unsqueeze(1) + squares)
    rows, columns = close.triu_(1).nonzero(as_tuple=True)
    step = max(1, _PAIRS // points.shape[1])
    for one, other in zip(torch.split(rows, step), torch.split(columns, step), strict=True):
        distances[one, other] = factor * (points[one] - points[other]).square().sum(dim=1)

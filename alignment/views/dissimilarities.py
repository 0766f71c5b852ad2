"""Dissimilarities: how unlike every two items are, a stack of layers at once, ready to be correlated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from alignment.errors import OverBudgetError
from alignment.preprocessing import PreparedLayer
from alignment.views.neighbours import symmetric_product
from alignment.views.places import Places
from alignment.views.ranks import ranks
from alignment.views.streamed import Streamed, StreamedRanks
from alignment.views.triangles import Triangles
from alignment.views.unlike import Contrast, Points, inner_item, varies

_RANKING = 200.0  # floating-point operations that ranking a pair of items takes as long as


class Dissimilarities:
    """A stack of dissimilarity matrices, standardised: over the pairs of items the mean is 0 and the squares sum to 1.

    The sum of the products of two of them is then the correlation. A layer without variation, or with an item that has
    no correlation with anything, is all NaN.

    They are handed out some layers at a time. All at once, and kept, where that fits the budget; else as many as fit,
    formed anew each time; and where not even one fits, in blocks that are formed from the features, ranks from as many
    tables of where values stand as fit.

    Attributes:
        n: how many items.
        layers: how many layers.
    """

    def __init__(self, layers: Sequence[PreparedLayer], contrast: Contrast, *, budget: int) -> None:
        """Takes over the layers, and forms nothing yet.

        Raises:
            OverBudgetError: if ranks are wanted, and neither one layer's nor a table that tells them apart fits the
                budget, in bytes.
        """
        self.n, self.layers = len(layers[0].values), len(layers)
        self._prepared, self._contrast, self._budget = layers, contrast, budget
        self._dtype = torch.float64 if any(x.precision == torch.float64 for x in layers) else torch.float32
        one = self._room(1).spread_bytes
        self._streamed = one > budget
        if self._streamed and contrast.ranked and not self._fits(1):
            raise OverBudgetError(
                f"the ranks of all pairs of {self.n} items need {one / 2**30:.1f} GiB a layer, more than the "
                f"{budget / 2**30:.1f} GiB of the budget; take fewer samples, or correlation=pearson"
            )
        self._step = self.layers
        while not self._fits(self._step):
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
            kind = StreamedRanks if self._contrast.ranked else Streamed
            part = kind(self._prepared[where], self._contrast, self._dtype, self._budget)
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
                matrix[above] = values / torch.where(varies(length, whole), length, torch.nan)
                part.put(index, matrix)
        if where.stop - where.start == self.layers:
            self._kept = part
        return part

    def _fits(self, layers: int) -> bool:
        """Returns whether so many layers are handed out at once."""
        if not self._streamed:
            return self._room(layers).spread_bytes <= self._budget
        bins = Places.room(self._budget, layers)
        return not self._contrast.ranked or Places.enough(bins, self.n * (self.n - 1) // 2)

    def _room(self, layers: int) -> Triangles:
        device = self._prepared[0].values.device
        return Triangles(layers, self.n, dtype=self._dtype, device=device, budget=self._budget)


def _dissimilarity(layer: PreparedLayer, contrast: Contrast) -> Float[Tensor, "n n"]:
    """Returns the whole matrix, float64: ranks see the smallest difference, and float32 products have them in doubt."""
    centre = inner_item(layer) if contrast.ranked else layer.mean()
    points = Points.of(layer.rows(slice(None)), contrast.dissimilarity, centre)
    found = points.from_products(symmetric_product(points.places), points).fill_diagonal_(0)
    return points.refine(found, points, diagonal=1) if contrast.ranked else found

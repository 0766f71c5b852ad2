"""Bases: orthonormal vectors that a layer's features span, and factors of its centred Gram matrix. All in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from alignment.preprocessing import PreparedLayer

# A direction whose singular value is below this part of the largest is the rounding of dependent columns and no
# direction. Eigenvalues, the squares, are good to about 1e-15 of the largest, so that 1e-12 is clear of their noise.
_RANK = 1e-6
_CONSTANT = 1e-12  # of a column's root mean square: a deviation below it is the rounding of its mean


class Padded:
    """Matrices with a row an item, one a layer, widened with columns of zeros to the widest; kept while they fit.

    Attributes:
        layers: how many.
        width: of each.
    """

    def __init__(
        self, make: Callable[[int], Float[Tensor, "n w"]], layers: int, n: int, width: int, *, budget: int
    ) -> None:
        """Takes over how to make a layer's matrix, and makes none."""
        self.layers, self.width, self._make = layers, width, make
        self._step = min(layers, max(1, budget // max(1, n * width * 8)))
        self._held: Float[Tensor, "layers n w"] | None = None

    def layer(self, index: int) -> Float[Tensor, "n w"]:
        """Returns one layer's matrix."""
        if self._step == self.layers:
            return self._part(slice(0, self.layers))[index]
        return self._padded(index)

    def parts(self) -> Iterator[tuple[slice, Float[Tensor, "some n w"]]]:
        """Yields as many layers at a time as fit."""
        for start in range(0, self.layers, self._step):
            where = slice(start, min(start + self._step, self.layers))
            yield where, self._part(where)

    def _part(self, where: slice) -> Float[Tensor, "some n w"]:
        if self._held is not None:
            return self._held
        part = torch.stack([self._padded(index) for index in range(where.start, where.stop)])
        if self._step == self.layers:
            self._held = part
        return part

    def _padded(self, index: int) -> Float[Tensor, "n w"]:
        matrix = self._make(index)
        return torch.nn.functional.pad(matrix, (0, self.width - matrix.shape[1]))


class Factors(Padded):
    """F with F Fᵀ the centred Gram matrix, `[n, min(n, d)]`, one a layer.

    The centred features themselves while there are fewer of them than items; else the triangle of their QR
    decomposition, which squares nothing and so loses nothing.
    """

    def __init__(self, layers: Sequence[PreparedLayer], *, budget: int) -> None:
        def factor(index: int) -> Float[Tensor, "n w"]:
            features = layers[index].rows(slice(None))
            features = features - features.mean(dim=0)
            if features.shape[1] <= len(features):
                return features
            triangle: Tensor = torch.linalg.qr(features.T, mode="r").R
            return triangle.T

        n = len(layers[0].values)
        width = max(min(layer.values.shape) for layer in layers)
        super().__init__(factor, len(layers), n, width, budget=budget)


@dataclass(frozen=True, eq=False)
class Basis:
    """The left singular vectors of a layer's standardised columns: each centred, and divided by its deviation.

    Constant columns count for nothing. Vectors of equal singular values are any basis of what they span.

    Attributes:
        layer: the layer.
        mean: each column's.
        scale: 1 over each column's deviation; 0 for a constant column.
        directions: what standardised columns are multiplied by to give the vectors, largest singular value first.
    """

    layer: PreparedLayer
    mean: Float[Tensor, " d"]
    scale: Float[Tensor, " d"]
    directions: Float[Tensor, "d r"]

    @classmethod
    def of(cls, layer: PreparedLayer) -> Basis:
        """Returns the basis, from the eigenvectors of whichever is the smaller of the two products."""
        mean, n = layer.mean(), len(layer.values)
        spread, size = torch.zeros_like(mean), torch.zeros_like(mean)
        for _, rows in layer.blocks():
            spread += (rows - mean).square().sum(dim=0)
            size += rows.square().sum(dim=0)
        scale = torch.where(spread > _CONSTANT**2 * size, spread / n, torch.inf).rsqrt()
        width = len(mean)
        if n <= width:
            columns = (layer.rows(slice(None)) - mean) * scale
            values, vectors = _leading(columns @ columns.T)
            return cls(layer, mean, scale, columns.T @ vectors / values)
        product = torch.zeros(width, width, dtype=torch.float64, device=mean.device)
        for _, rows in layer.blocks():
            block = (rows - mean) * scale
            product += block.T @ block
        values, vectors = _leading(product)
        return cls(layer, mean, scale, vectors / values.sqrt())

    @property
    def rank(self) -> int:
        """How many dimensions the columns span."""
        return int(self.directions.shape[1])

    def columns(self) -> Float[Tensor, "n d"]:
        """Returns the standardised columns."""
        return (self.layer.rows(slice(None)) - self.mean) * self.scale

    def vectors(self, most: int | None = None) -> Float[Tensor, "n r"]:
        """Returns the left singular vectors, largest first; at most so many."""
        found = self.columns() @ self.directions[:, :most]
        # those of small singular values come out a little skew; this leaves the large ones as they are
        corner = torch.linalg.cholesky(found.T @ found)
        vectors: Tensor = torch.linalg.solve_triangular(corner, found.T, upper=False)
        return vectors.T


def _leading(product: Float[Tensor, "m m"]) -> tuple[Float[Tensor, " r"], Float[Tensor, "m r"]]:
    """Returns the eigenvalues that count, largest first, and their vectors."""
    values, vectors = torch.linalg.eigh(product)
    count = int((values > _RANK**2 * values[-1].clamp(min=0)).sum())
    return values.flip(0)[:count], vectors.flip(1)[:, :count]

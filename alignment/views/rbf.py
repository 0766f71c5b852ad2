"""Rbf: a layer's rbf kernel in tiles, for many items, centred; and the median of its distances, exactly."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment.preprocessing import PreparedLayer
from alignment.views.neighbours import SLACK, symmetric_product

_ROWS = 128
# Of the squared bandwidth: items whose squares are so much larger leave too few of float32's digits to their distances
_FAR = 16.0
_DIGIT = 16  # bits of a value that one pass over all pairs settles


class Rbf:
    """The entries exp(-d² / 2σ²) of one layer, formed from its features wherever they are asked for, and centred.

    Attributes:
        features: `[n, d]`, centred: distances do not see the shift, and centring takes the cancellation away.
        diagonal: `[n]`, of the centred matrix, float64.
    """

    def __init__(self, layer: PreparedLayer, bandwidth: float) -> None:
        """Finds the median of all distances, and each row's mean."""
        self._take(layer.features(centred=True))
        median = self._lower_median()
        if self.features.dtype == torch.float32 and _far_out(self._squares, median, bandwidth):
            self._take(_centred_rows(layer))
            median = self._lower_median()
        self._factor = -1 / (2 * bandwidth**2 * median)
        means = torch.cat([self._raw(rows, slice(None)).mean(dim=1, dtype=torch.float64) for rows in self._strips()])
        self._shift = (means - means.mean() / 2).to(self.features.dtype)
        self.diagonal = -2 * self._shift.double()  # expm1(0) is 0

    def _take(self, features: Float[Tensor, "n d"]) -> None:
        self.features, self._squares = features, _squares(features)

    def entries(self, rows: slice | Int[Tensor, " r"], columns: slice | Int[Tensor, " c"]) -> Float[Tensor, "r c"]:
        """Returns the entries of some rows and columns; those of an item with itself are up to rounding alone."""
        raw = self._raw(rows, columns)
        return raw.sub_(self._shift[rows].unsqueeze(1)).sub_(self._shift[columns])

    def _raw(self, rows: slice | Int[Tensor, " r"], columns: slice | Int[Tensor, " c"]) -> Float[Tensor, "r c"]:
        return self._distances(rows, columns).mul_(self._factor).expm1_()  # centring takes the constant away

    def _distances(self, rows: slice | Int[Tensor, " r"], columns: slice | Int[Tensor, " c"]) -> Float[Tensor, "r c"]:
        products = self.features[rows] @ self.features[columns].T
        return _apart(products, self._squares[rows], self._squares[columns], self.features.shape[1])

    def _strips(self) -> Iterator[slice]:
        return _strips(len(self.features))

    def _lower_median(self) -> Float[Tensor, ""]:
        """Returns the lower median of all n² squared distances, the zero diagonal included.

        Numbers of zero or more are in the order of their bits. So the median's bits are found some digits at a time,
        the first first: each pass over all pairs counts those that begin as the median does by their next digits.
        """
        n, dtype = len(self.features), self.features.dtype
        bits = torch.finfo(dtype).bits
        whole = torch.int32 if bits == 32 else torch.int64
        wanted = (n * n - 1) // 2
        prefix = 0
        for low in range(bits - _DIGIT, -1, -_DIGIT):
            counts = torch.zeros(1 << _DIGIT, dtype=torch.int64, device=self.features.device)
            for rows in self._strips():
                # a pair above the diagonal stands for the one below it as well
                right = self._distances(rows, slice(rows.start, None)).view(whole) >> low
                first = rows.stop - rows.start
                counts += 2 * _count(right[:, first:], prefix)
                corner = right[:, :first]
                counts += 2 * _count(corner[torch.ones_like(corner, dtype=torch.bool).triu_(1)], prefix)
            if prefix == 0:
                counts[0] += n
            digit = int(torch.searchsorted(counts.cumsum(0), wanted, right=True))
            wanted -= int(counts[:digit].sum())
            prefix = prefix << _DIGIT | digit
        return torch.tensor(prefix, dtype=whole, device=self.features.device).view(dtype)


def rbf_of(layer: PreparedLayer, bandwidth: float) -> Float[Tensor, "n n"]:
    """Returns all of a layer's entries at once, as the tiles have them, less 1 and not centred."""
    features = layer.features(centred=True)
    distances = _distances_of(features)
    median = distances.flatten().median()  # torch's median of an even count is the lower one
    if features.dtype == torch.float32 and _far_out(_squares(features), median, bandwidth):
        distances = _distances_of(_centred_rows(layer))
        median = distances.flatten().median()
    return distances.mul_(-1 / (2 * bandwidth**2 * median)).expm1_()  # centring takes the constant away


def _far_out(squares: Float[Tensor, " n"], median: Float[Tensor, ""], bandwidth: float) -> bool:
    """Returns whether some items are so far out for the bandwidth that their distances take float64's digits."""
    return bool(squares.max() > _FAR * bandwidth**2 * median)


def _centred_rows(layer: PreparedLayer) -> Float[Tensor, "n d"]:
    """Returns a layer's features, float64, each column's mean taken off."""
    return layer.rows(slice(None)).sub_(layer.mean())


def _distances_of(features: Float[Tensor, "n d"]) -> Float[Tensor, "n n"]:
    """Returns all squared distances at once, from centred features."""
    distances, squares = symmetric_product(features), _squares(features)
    for rows in _strips(len(features)):
        _apart(distances[rows], squares[rows], squares, features.shape[1])
    return distances.fill_diagonal_(0)


def _squares(features: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    squares: Tensor = torch.linalg.vector_norm(features, dim=1, dtype=torch.float64).square().to(features.dtype)
    return squares


def _apart(
    products: Float[Tensor, "r c"], rows: Float[Tensor, " r"], columns: Float[Tensor, " c"], width: int
) -> Float[Tensor, "r c"]:
    """Returns the squared distances from the products, which it writes over, and the items' squares.

    One that rounding alone can make up is zero. Where most pairs are the same point, their median is then zero, which
    is no bandwidth, and not the size of a rounding error.
    """
    distances = products.mul_(-2).add_(rows.unsqueeze(1)).add_(columns)
    noise = SLACK * torch.finfo(products.dtype).eps * width**0.5
    return distances.masked_fill_(distances <= noise * (rows.unsqueeze(1) + columns), 0)


def _strips(n: int) -> Iterator[slice]:
    return (slice(start, min(start + _ROWS, n)) for start in range(0, n, _ROWS))


def _count(values: Int[Tensor, "*pairs"], prefix: int) -> Int[Tensor, " digits"]:
    """Returns how often each last digit stands behind `prefix`."""
    wanted = values[values >> _DIGIT == prefix] if prefix else values[values < 1 << _DIGIT]
    return torch.bincount(wanted.flatten() & ((1 << _DIGIT) - 1), minlength=1 << _DIGIT)

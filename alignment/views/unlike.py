"""How unlike two items of a layer are, in float64: from products of points, and from differences where these cancel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from alignment.preprocessing import PreparedLayer

_CLOSE = 2.0**-5  # of the two items' squares: below it their products cancel, and differences are taken
_SAME = 2.0**-49  # of an item's length: items as near as this are one, but for the rounding of how long they are
_PAIRS = 1 << 22  # values gathered at a time while differences are taken


@dataclass(frozen=True)
class Contrast:
    """What a dissimilarity matrix is made with.

    Attributes:
        dissimilarity: `sqeuclidean`, or `correlation`: 1 less the correlation of two items across features.
        ranked: whether ranks take the values' place, ties averaged.
    """

    dissimilarity: Literal["sqeuclidean", "correlation"] = "sqeuclidean"
    ranked: bool = True


@dataclass(frozen=True)
class Points:
    """Some items as points between which distances are taken.

    For `correlation` each has a mean of zero and unit length, and is NaN for an item without variation.

    Attributes:
        kind: the dissimilarity.
        places: where they are.
        squares: their squared lengths.
        rounding: half of a distance that is only the rounding of how long two items are.
    """

    kind: str
    places: Float[Tensor, "r d"]
    squares: Float[Tensor, " r"]
    rounding: Float[Tensor, " r"]

    @classmethod
    def of(cls, features: Float[Tensor, "r d"], kind: str, centre: Float[Tensor, " d"]) -> Points:
        """Returns items as points; `centre` is what distances do not see, and products lose fewer digits without."""
        rounding = (torch.linalg.vector_norm(features, dim=1) * _SAME).square()
        if kind == "sqeuclidean":
            places = features - centre
            return cls(kind, places, places.square().sum(dim=1), rounding)
        whole = torch.linalg.vector_norm(features, dim=1, keepdim=True)
        places = features - features.mean(dim=1, keepdim=True)
        lengths = torch.linalg.vector_norm(places, dim=1, keepdim=True)
        places = places / torch.where(varies(lengths, whole), lengths, torch.nan)
        return cls(kind, places, torch.ones_like(places[:, 0]), rounding / lengths.squeeze(1).square())

    def from_products(self, products: Float[Tensor, "r c"], others: Points) -> Float[Tensor, "r c"]:
        """Returns how unlike these are to others, from the products of all places, which it writes over."""
        if self.kind == "correlation":
            return products.neg_().add_(1).clamp_(min=0)
        return products.mul_(-2).add_(others.squares.unsqueeze(0)).add_(self.squares.unsqueeze(1)).clamp_(min=0)

    def refine(self, unlike: Float[Tensor, "r c"], others: Points, *, diagonal: int) -> Float[Tensor, "r c"]:
        """Takes small distances above a diagonal from differences, so that all are good to so many digits of their own.

        From products they are good to so many digits of the items' squared lengths, which is not enough to see ties
        among items that are near each other and far from the rest. What is only rounding is zero.
        """
        share, factor = (_CLOSE, 1.0) if self.kind == "sqeuclidean" else (_CLOSE / 2, 0.5)
        close = unlike < share * (self.squares.unsqueeze(1) + others.squares)
        rows, columns = close.triu_(diagonal).nonzero(as_tuple=True)
        step = max(1, _PAIRS // self.places.shape[1])
        for one, other in zip(torch.split(rows, step), torch.split(columns, step), strict=True):
            unlike[one, other] = factor * (self.places[one] - others.places[other]).square().sum(dim=1)
        return unlike.masked_fill_(unlike <= self.rounding.unsqueeze(1) + others.rounding, 0)


def inner_item(layer: PreparedLayer) -> Float[Tensor, " d"]:
    """Returns the features of the item that is of the median distance from the mean.

    An item far out would draw the mean away from the others; the median one is among them.
    """
    mean = layer.mean()
    away = torch.cat([(rows - mean).square().sum(dim=1) for _, rows in layer.blocks()])
    return layer.rows(_alone(away.median(dim=0).indices))[0]


def varies(length: Tensor, whole: Tensor) -> Bool[Tensor, "..."]:
    """Returns where a spread is more than the rounding of equal values, which are off their mean by it."""
    return length > 1e-12 * whole


def _alone(index: Int[Tensor, ""]) -> Int[Tensor, " 1"]:
    return index.reshape(1)

"""stacked_neighbours(): nearest neighbours of a stack of layers, for a device that runs ahead of the host.

The same neighbours as `nearest_neighbours` gives, which asks again and again how many rows are in doubt. Here the host
waits twice for a whole stack: for how many rows of each layer the first products left in doubt, and for whether any of
them has more candidates than were gone through. A layer that has is searched the other way.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from alignment.preprocessing import PreparedLayer
from alignment.views.neighbours import (
    WIDER,
    nearest_neighbours,
    products_of,
    rounding,
    select,
    wide_products,
)

_CANDIDATES = 4  # times as many as are wanted: gone through for a row in doubt
_VALUES = 1 << 24  # gathered at a time


class _Found:
    """One layer's neighbours, after the first products and then with what these left in doubt settled."""

    def __init__(self, layer: PreparedLayer, k: int, budget: int) -> None:
        features = layer.features()
        n, device = len(features), features.device
        self.layer, self.k, self.budget, self.slack = layer, k, budget, rounding(features)
        self.index = torch.empty(n, k, dtype=torch.int64, device=device)
        self.values = torch.empty(n, k, dtype=features.dtype, device=device)
        self.unsure = torch.empty(n, dtype=torch.bool, device=device)
        for rows, products in products_of(features, budget):
            self.index[rows], self.unsure[rows], _ = select(products, k, self.slack[rows])
            self.values[rows] = products.gather(1, self.index[rows])

    def settle(self, count: int) -> Bool[Tensor, ""]:
        """Settles the rows in doubt, which are so many; returns whether one had too many candidates."""
        items = torch.argsort(self.unsure.to(torch.uint8), descending=True, stable=True)[:count]
        n, width = self.layer.values.shape
        most = min(_CANDIDATES * self.k, n - 1)
        step = max(1, min(_VALUES // (most * width), self.budget // (8 * n)))
        crowded = torch.zeros((), dtype=torch.bool, device=items.device)
        for part in torch.split(items, step) if count else ():
            near, place = wide_products(self.layer, part).topk(most, dim=1)
            least = near[:, self.k - 1] - 2 * WIDER[self.values.dtype] * self.slack[part]
            if most < n - 1:
                crowded |= (near[:, -1] >= least).any()
            place = place.sort(dim=1).values
            exact = self._exact(part, place)
            order = exact.argsort(dim=1, descending=True, stable=True)[:, : self.k]  # what ties: by index
            self.index[part] = place.gather(1, order)
            self.values[part] = exact.gather(1, order).to(self.values.dtype)
        return crowded

    def _exact(self, items: Int[Tensor, " r"], others: Int[Tensor, "r m"]) -> Float[Tensor, "r m"]:
        """Returns products in float64, each a sum of its own: equal rows then give equal bits, wherever they stand."""
        beside = self.layer.rows(others.flatten()).view(*others.shape, -1)
        return (self.layer.rows(items).unsqueeze(1) * beside).sum(dim=2)


def stacked_neighbours(
    layers: Sequence[PreparedLayer], k: int, *, budget: int
) -> list[tuple[Int[Tensor, "n k"], Float[Tensor, "n k"]]]:
    """Returns what `nearest_neighbours` gives for each layer.

    Args:
        layers: the prepared layers, on one device.
        k: how many, at least 1 and at most n - 1.
        budget: bytes that the products held at once may take.
    """
    stack = [_Found(layer, k, budget) for layer in layers]
    counts = torch.stack([found.unsure.sum() for found in stack]).tolist()
    crowded = torch.stack([found.settle(count) for found, count in zip(stack, counts, strict=True)]).tolist()
    return [
        nearest_neighbours(found.layer, k, budget=budget) if more else (found.index, found.values)
        for found, more in zip(stack, crowded, strict=True)
    ]

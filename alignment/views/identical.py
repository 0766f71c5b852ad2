"""identical(): which items are the same point, so that what ties by being the same is settled once and not for each.

Of items that are the same, only the k + 1 lowest can be anyone's neighbours when ties go to the lower index; and those
beyond them all have the same neighbours as the last of those.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from alignment.preprocessing import PreparedLayer

_SEED = 0x5EED


def identical(layer: PreparedLayer, k: int) -> tuple[Int[Tensor, " m"], Int[Tensor, " n"]]:
    """Returns the items that can be neighbours, ascending; and for each item, whose list among them is its own.

    Time is that of sorting n numbers and reading the layer twice.

    Args:
        layer: the prepared layer, `[n, d]`.
        k: how many neighbours are wanted.
    """
    found = marks(layer)
    order = torch.argsort(found, stable=True)  # the same mark: by index
    again = torch.zeros(len(order), dtype=torch.bool, device=order.device)
    again[1:] = found[order[1:]] == found[order[:-1]]
    suspects = again.nonzero().squeeze(1)
    again[suspects] = _equal(layer, order[suspects], order[suspects - 1])
    place = torch.arange(len(order), device=order.device)
    first = torch.where(again, 0, place).cummax(dim=0).values
    kept = order[place - first <= k].sort().values
    source = torch.empty_like(order)
    source[order] = order[torch.minimum(place, first + k)]
    return kept, torch.searchsorted(kept, source)


def marks(layer: PreparedLayer) -> Int[Tensor, " n"]:
    """Returns a number for each item, the same for the same points and seldom else: its bits, weighted and summed."""
    random = torch.Generator().manual_seed(_SEED)
    weights = torch.randint(-(2**62), 2**62, (layer.values.shape[1],), generator=random) * 2 + 1
    weights = weights.to(layer.values.device)
    found = []
    for _, rows in layer.blocks():
        bits = (rows + 0.0).view(torch.int64)  # minus zero is zero
        found.append(((bits ^ (bits >> 32)) * weights).sum(dim=1))
    return torch.cat(found)


def _equal(layer: PreparedLayer, items: Int[Tensor, " s"], others: Int[Tensor, " s"]) -> Bool[Tensor, " s"]:
    step = max(1, (1 << 22) // layer.values.shape[1])
    parts = [
        _same(layer.rows(one), layer.rows(other))
        for one, other in zip(torch.split(items, step), torch.split(others, step), strict=True)
    ]
    return torch.cat(parts)


def _same(rows: Float[Tensor, "r d"], others: Float[Tensor, "r d"]) -> Bool[Tensor, " r"]:
    return (rows == others).all(dim=1)

"""Nearest neighbours by inner product, exact in float64 whatever the device and the blocking.

A product in float32 decides nearly all of them. Where it cannot, because two candidates are closer than its rounding,
the products of those candidates alone are formed again in float64, and what ties there goes to the lower index.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from alignment.preprocessing import PreparedLayer
from alignment.views import ahead
from alignment.views.identical import identical
from alignment.views.largest import largest

# How far a product of two rows may be off, in units of eps * sqrt(width) * |x| * |y|: rounding errors add up like a
# random walk. tests/benchmarks/rounding.py prints the largest seen.
SLACK = 4.0
_EXACT = ("ieee", "none")  # what torch calls float32 products that are formed of float32
_ROWS = 512  # of a block of products: enough for the product's full speed
_APART = 16  # numbers between rows, lest these be a power of two apart and all share the same few places of a cache
_CROWD = 16  # times as many candidates as wanted: a row that float64 products go through as a whole
# how much less a float64 product is off
WIDER = {torch.float32: torch.finfo(torch.float64).eps / torch.finfo(torch.float32).eps, torch.float64: 1.0}
_PAIRS = 1 << 22  # values gathered at a time while products are formed again


def nearest_neighbours(layer: PreparedLayer, k: int, *, budget: int) -> tuple[Int[Tensor, "n k"], Float[Tensor, "n k"]]:
    """Returns each item's k nearest others, nearest first, by inner product of uncentred features; and the products.

    An item is never its own neighbour. Ties go to the lower index wherever the float64 products tie. Many items
    that are the same point are searched once.

    Args:
        layer: the prepared layer, `[n, d]`.
        k: how many, at least 1 and at most n - 1.
        budget: bytes that the products held at once may take.
    """
    try:
        return _search(layer, k, budget, crowds=False)
    except _CrowdError:
        kept, source = identical(layer, k)
        norms = None if layer.norms is None else layer.norms[kept]
        found, values = _search(replace(layer, values=layer.values[kept], norms=norms), k, budget, crowds=True)
        return kept[found[source]], values[source]


class _CrowdError(Exception):
    """Some items have so many candidates that it pays to ask first which items are the same."""


def _search(
    layer: PreparedLayer, k: int, budget: int, *, crowds: bool
) -> tuple[Int[Tensor, "n k"], Float[Tensor, "n k"]]:
    features = layer.features()
    slack = rounding(features)
    n = len(features)
    chosen = torch.empty(n, k, dtype=torch.int64, device=features.device)
    values = torch.empty(n, k, dtype=features.dtype, device=features.device)
    for rows, products in products_of(features, budget):
        index, unsure, floor = select(products, k, slack[rows])
        again = unsure.nonzero().squeeze(1)
        if again.numel():
            items = again + rows.start
            index[again] = _settle(
                layer, products.index_select(0, again), items, floor[again], slack[items], k, crowds=crowds
            )
        chosen[rows] = index
        values[rows] = products.gather(1, index)
    return chosen, values


def rounding(features: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """Returns how far each item's products in the features' precision may be off, float64.

    A process may have let float32 products be formed in TF32 or bfloat16. Their rounding then leaves more in doubt,
    which float64 decides.
    """
    lengths = torch.linalg.vector_norm(features, dim=1)
    eps = torch.finfo(features.dtype).eps
    if features.dtype == torch.float32:
        eps = max(eps, _coarsest(features.device))
    unit = SLACK * eps * features.shape[1] ** 0.5
    slack: Tensor = unit * lengths.double() * lengths.max().double()
    return slack


def _coarsest(device: torch.device) -> float:
    """Returns the spacing of the numbers that float32 products of this process may be formed of."""
    backends: Any = torch.backends  # whose attributes are made as it is loaded
    own, spacing = (backends.mkldnn, 2.0**-7) if device.type == "cpu" else (backends.cuda, 2.0**-10)
    return 0.0 if own.matmul.fp32_precision in _EXACT else spacing


def products_of(features: Float[Tensor, "n d"], budget: int) -> Iterator[tuple[slice, Float[Tensor, "r n"]]]:
    """Yields blocks of rows of `X Xᵀ`, the diagonal at minus infinity so that no item is its own neighbour."""
    n = len(features)
    if features.element_size() * n * n <= budget:
        products = symmetric_product(features)
        products.fill_diagonal_(-torch.inf)
        yield slice(0, n), products
        return
    step = max(1, min(_ROWS, budget // (features.element_size() * n)))
    room = features.new_empty(step, n)
    for start in range(0, n, step):
        rows = slice(start, min(start + step, n))
        products = torch.mm(features[rows], features.T, out=room[: rows.stop - start])
        products.diagonal(offset=start).fill_(-torch.inf)
        yield rows, products


def symmetric_product(features: Float[Tensor, "n d"], block: int = 128) -> Float[Tensor, "n n"]:
    """Returns `X Xᵀ` from its upper triangle alone, which is half the work of the full product."""
    n = len(features)
    out = features.new_empty(n, n)
    room = None if ahead.runs_ahead(features.device) else features.new_empty(min(block, n), n + _APART)
    for start in range(0, n, block):
        stop = min(start + block, n)
        upper = out[start:stop, start:]
        torch.mm(features[start:stop], features[start:].T, out=upper)
        rest = upper[:, stop - start :]
        if room is not None:
            rest = room[: stop - start, : n - stop].copy_(rest)
        out[stop:, start:stop] = rest.T
    return out


def select(
    products: Float[Tensor, "r n"], k: int, slack: Float[Tensor, " r"]
) -> tuple[Int[Tensor, "r k"], Bool[Tensor, " r"], Float[Tensor, " r"]]:
    """Returns each row's k largest, the rows that they are in doubt for, and the least product of a candidate."""
    wanted = min(k + 1, products.shape[1] - 1)
    values, index = largest(products, wanted)
    gaps = values[:, :-1] - values[:, 1:]
    unsure = (gaps <= 2 * slack.unsqueeze(1)).any(dim=1)
    return index[:, :k].contiguous(), unsure, values[:, k - 1].double() - 2 * slack


def _settle(
    layer: PreparedLayer,
    products: Float[Tensor, "u n"],
    items: Int[Tensor, " u"],
    floor: Float[Tensor, " u"],
    slack: Float[Tensor, " u"],
    k: int,
    *,
    crowds: bool,
) -> Int[Tensor, "u k"]:
    """Returns the neighbours of the rows that float32 left undecided.

    Where it left few candidates, their products alone are formed again. Where it left many (rows that nearly all point
    one way), a float64 product of the whole row leaves few; only true ties can then be many.
    """
    below = products.new_tensor(-torch.inf)
    near = products >= floor.unsqueeze(1).to(products.dtype).nextafter(below)
    crowded = near.sum(dim=1) > _CROWD * k
    if not crowded.any():
        return _decide(layer, products, near, items, slack, k)
    if not crowds:
        raise _CrowdError
    chosen = torch.empty(len(items), k, dtype=torch.int64, device=items.device)
    others = ~crowded
    chosen[others] = _decide(layer, products[others], near[others], items[others], slack[others], k)
    for part in torch.split(crowded.nonzero().squeeze(1), max(1, _PAIRS // products.shape[1])):
        wide, off = wide_products(layer, items[part]), WIDER[products.dtype] * slack[part]
        least = wide.topk(k, dim=1).values[:, -1] - 2 * off
        nearer = wide >= least.unsqueeze(1)
        for few in torch.split(torch.arange(len(part), device=part.device), max(1, _PAIRS // int(nearer.sum(1).max()))):
            chosen[part[few]] = _decide(layer, wide[few], nearer[few], items[part[few]], off[few], k)
    return chosen


def wide_products(layer: PreparedLayer, items: Int[Tensor, " u"]) -> Float[Tensor, "u n"]:
    """Returns some items' products with all, float64, minus infinity with themselves."""
    rows = layer.rows(items)
    n = len(layer.values)
    wide = torch.cat([rows @ layer.rows(slice(at, min(at + _ROWS, n))).T for at in range(0, n, _ROWS)], dim=1)
    wide[torch.arange(len(items), device=items.device), items] = -torch.inf
    return wide


def _decide(
    layer: PreparedLayer,
    products: Float[Tensor, "u n"],
    near: Bool[Tensor, "u n"],
    items: Int[Tensor, " u"],
    slack: Float[Tensor, " u"],
    k: int,
) -> Int[Tensor, "u k"]:
    """Returns the k nearest of each row's candidates, by their float64 products and then by their index.

    A candidate whose product is further from every other's than their rounding has its place as it is.
    """
    row, other = near.nonzero(as_tuple=True)
    exact = products.flatten().index_select(0, row * products.shape[1] + other).double()
    order = _ordered(-exact, row)
    place, value = row[order], exact[order]
    close = (place[1:] == place[:-1]) & (value[:-1] - value[1:] <= 2 * slack[place[1:]])
    doubt = torch.zeros_like(row, dtype=torch.bool)
    doubt[order[1:][close]] = True
    doubt[order[:-1][close]] = True
    for part in torch.split(doubt.nonzero().squeeze(1), layer.at_once):
        # a sum along each row and not a matrix product: equal rows then give equal bits, wherever they stand
        exact[part] = (layer.rows(items[row[part]]) * layer.rows(other[part])).sum(dim=1)
    order = _ordered(other, -exact, row)
    row, other = row[order], other[order]
    first = torch.searchsorted(row, torch.arange(len(items), device=row.device))
    place = first.unsqueeze(1) + torch.arange(k, device=row.device)
    return other[place]


def _ordered(*keys: Tensor) -> Int[Tensor, " pairs"]:
    """Returns the order by the last key, what ties in it by the one before, and so on."""
    order = np.lexsort([key.cpu().numpy() for key in keys])
    return torch.from_numpy(order).to(keys[0].device)

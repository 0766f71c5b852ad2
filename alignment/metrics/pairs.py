"""Sums over all pairs of items, of every layer's matrix times every other's, the items of one side in another order."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment.views import Triangles, ahead

_ROWS = 32  # gathered at a time: what they bring stays in the cache until it is multiplied
_PIECE = 1 << 15  # float32 terms summed before float64 takes over


def inner(left: Float[Tensor, "a p"], right: Float[Tensor, "b p"]) -> Float[Tensor, "a b"]:
    """Returns `left @ right.T`, float64, summed in it over pieces short enough for float32."""
    total = torch.zeros(len(left), len(right), dtype=torch.float64, device=left.device)
    for one, other in zip(torch.split(left, _PIECE, dim=1), torch.split(right, _PIECE, dim=1), strict=True):
        total += times(one, other.T).double()
    return total


def inner_permuted(fixed: Triangles, moved: Triangles, permutation: Int[Tensor, " n"]) -> Float[Tensor, "f m"]:
    """Returns `Σ_{i<j} K_ij L_π(i)π(j)` for every fixed and moved layer, float64."""
    total = torch.zeros(fixed.layers, moved.layers, dtype=torch.float64, device=permutation.device)
    spread = moved.spread()
    step = 0 if ahead.runs_ahead(permutation.device) else _ROWS  # what runs ahead has no use for small steps
    for number in range(len(fixed)):
        block = fixed.block(number)
        if spread is None:
            total += inner(block, moved.block(number, permutation))
            continue
        start, stop = fixed.rows(number)
        width = fixed.n - start
        for first in range(start, stop, step or stop - start):
            rows = permutation[first : min(first + (step or stop - start), stop)]
            # fixed is zero on and below the diagonal, so that moved may be anything there
            pairs = spread.index_select(0, rows).index_select(1, permutation[start:]).flatten(0, 1)
            here = block[:, (first - start) * width :][:, : len(pairs)]
            total += times(here, pairs)[:, : moved.layers].double()
    return total


def times(left: Float[Tensor, "a p"], right: Float[Tensor, "p b"]) -> Float[Tensor, "a b"]:
    """Returns `left @ right` in the wider of their dtypes: a file of float64 may meet one of float32."""
    wide = torch.promote_types(left.dtype, right.dtype)
    return left.to(wide) @ right.to(wide)

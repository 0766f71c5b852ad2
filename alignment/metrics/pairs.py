"""Sums over all pairs of items, of every layer's matrix times every other's, the items of one side in another order."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment.views import Triangles, ahead

_ROWS = 32  # gathered at a time: what they bring stays in the cache until it is multiplied
_PIECE = 1 << 15  # float32 terms summed before float64 takes over
_SHORT = 1 << 11  # likewise where many processors each take a piece: enough pieces for all of them
_PAIRS = 1 << 22  # of items, gathered at once by what runs ahead


def inner(left: Float[Tensor, "a p"], right: Float[Tensor, "b p"]) -> Float[Tensor, "a b"]:
    """Returns `left @ right.T`, float64, summed in it over pieces short enough for float32."""
    if ahead.runs_ahead(left.device):
        return at_once(left, right.T)
    total = torch.zeros(len(left), len(right), dtype=torch.float64, device=left.device)
    for one, other in zip(torch.split(left, _PIECE, dim=1), torch.split(right, _PIECE, dim=1), strict=True):
        total += times(one, other.T).double()
    return total


def inner_permuted(fixed: Triangles, moved: Triangles, permutation: Int[Tensor, " n"]) -> Float[Tensor, "f m"]:
    """Returns `Σ_{i<j} K_ij L_π(i)π(j)` for every fixed and moved layer, float64."""
    total = torch.zeros(fixed.layers, moved.layers, dtype=torch.float64, device=permutation.device)
    spread = moved.spread()
    forward = ahead.runs_ahead(permutation.device)
    if forward and spread is not None and fixed.whole is not None and fixed.whole.shape[1] <= _PAIRS:
        rows, columns = fixed.places()
        pairs = spread.flatten(0, 1).index_select(0, permutation[rows] * fixed.n + permutation[columns])
        return at_once(fixed.whole, pairs)[:, : moved.layers]
    for number in range(len(fixed)):
        block = fixed.block(number)
        if spread is None:
            total += inner(block, moved.block(number, permutation))
            continue
        start, stop = fixed.rows(number)
        width = fixed.n - start
        step = stop - start if forward else _ROWS  # what runs ahead has no use for small steps
        for first in range(start, stop, step):
            rows = permutation[first : min(first + step, stop)]
            # fixed is zero on and below the diagonal, so that moved may be anything there
            pairs = spread.index_select(0, rows).index_select(1, permutation[start:]).flatten(0, 1)
            here = block[:, (first - start) * width :][:, : len(pairs)]
            found = at_once(here, pairs) if forward else times(here, pairs).double()
            total += found[:, : moved.layers]
    return total


def at_once(left: Float[Tensor, "a p"], right: Float[Tensor, "p b"]) -> Float[Tensor, "a b"]:
    """Returns `left @ right`, float64, as many short products at once and their sum.

    Few rows and columns of a long product are few tiles, which would leave most processors of a GPU without work.
    """
    wide = torch.promote_types(left.dtype, right.dtype)
    left, right = left.to(wide), right.to(wide)
    count = right.shape[0] // _SHORT
    whole = count * _SHORT
    short = left[:, :whole].view(len(left), count, _SHORT).transpose(0, 1)
    pieces = torch.bmm(short, right[:whole].view(count, _SHORT, right.shape[1]))
    total = pieces.sum(dim=0, dtype=torch.float64)
    return total + (left[:, whole:] @ right[whole:]).double() if whole < len(right) else total


def times(left: Float[Tensor, "a p"], right: Float[Tensor, "p b"]) -> Float[Tensor, "a b"]:
    """Returns `left @ right` in the wider of their dtypes: a file of float64 may meet one of float32."""
    wide = torch.promote_types(left.dtype, right.dtype)
    return left.to(wide) @ right.to(wide)

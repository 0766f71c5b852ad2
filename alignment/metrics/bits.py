"""Walks along two lists, a whole row of the walk's table in one number: a bit a place of the first list.

Lists name no item twice, so that an item of the second stands in the first at one place, which is one bit, or at none,
which is 0. A step of the walk is then a few operations, whatever the list's length.

Source: Hyyrö 2004, "Bit-parallel LCS-length computation revisited", AWOCA; Myers 1999, J. ACM 46(3), in the form of
Hyyrö 2003, Nordic Journal of Computing 10.
"""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor

WIDEST = 62  # places; what is carried beyond the last one is left alone


def bits_of(rank: Int[Tensor, "edges layers"], k: int) -> Int[Tensor, "edges layers"]:
    """Returns the bit of each place from 0 to k - 1, and 0 for what has none, in the narrowest numbers that hold k."""
    wide = next(dtype for dtype, most in ((torch.int16, 15), (torch.int32, 31), (torch.int64, WIDEST)) if k <= most)
    one = torch.ones((), dtype=wide, device=rank.device)
    return (one << rank.clamp(min=0).to(wide)) * (rank >= 0)


def common(matches: Int[Tensor, "k *cells"]) -> Int[Tensor, "*cells"]:
    """Returns the length of each two lists' longest common subsequence, from the bits of the second's items in turn."""
    row = torch.full_like(matches[0], -1)
    for here in matches:
        both = row & here
        carried = row + both
        row = row.sub_(both).bitwise_or_(carried)
    return len(matches) - _count(row, len(matches))


def kept(matches: Int[Tensor, "k *cells"]) -> Int[Tensor, "*cells"]:
    """Returns k less each two lists' Levenshtein distance, from the bits of the second's items in turn."""
    more, less = torch.full_like(matches[0], -1), torch.zeros_like(matches[0])
    for here in matches:
        level = (here & more).add_(more).bitwise_xor_(more).bitwise_or_(here).bitwise_or_(less)
        up = (level | more).bitwise_not_().bitwise_or_(less)
        down = more.bitwise_and_(level).bitwise_left_shift_(1)
        up = up.bitwise_left_shift_(1).bitwise_or_(1)
        more = (level | up).bitwise_not_().bitwise_or_(down)
        less = up.bitwise_and_(level)
    return _count(less, len(matches)) - _count(more, len(matches))


def _count(row: Int[Tensor, "*cells"], k: int) -> Int[Tensor, "*cells"]:
    total = row & 1
    for place in range(1, k):
        total += (row >> place) & 1
    return total

"""largest(): the few largest numbers of each row, and where they are."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment.views import ahead

_PEAKS, _LEAST = 4, 32  # groups for each number that is wanted, and in all: few numbers beyond those then pass
_LONG = 1 << 15  # numbers of a row that are looked at once, as a second look would fetch them from memory again
_GROUP, _FEW = 64, 4  # items of a group, and how many times as many groups as wanted make it worth their while


def largest(rows: Float[Tensor, "r n"], count: int) -> tuple[Float[Tensor, "r count"], Int[Tensor, "r count"]]:
    """Returns each row's `count` largest numbers and where they are, in descending order. Ties may fall either way."""
    once = ahead.runs_ahead(rows.device) or rows.shape[1] > _LONG
    return _in_groups(rows, count) if once else _above_peaks(rows, count)


def _above_peaks(rows: Float[Tensor, "r n"], count: int) -> tuple[Float[Tensor, "r count"], Int[Tensor, "r count"]]:
    """Cuts each row into groups: at least `count` of its numbers are no less than the `count`-th largest maximum.

    A look at every number finds those, seldom more than twice as many, and they alone are put in order.
    """
    many, n = rows.shape
    groups = max(_LEAST, 1 << (_PEAKS * count - 1).bit_length())
    size = n // groups
    if size < 2:
        values, place = rows.topk(count, dim=1)
        return values, place
    peaks = rows[:, : size * groups].view(many, size, groups).amax(dim=1).numpy()
    least = np.partition(peaks, groups - count, axis=1)[:, groups - count, None]
    found = np.flatnonzero(rows.numpy() >= least)
    row = found // n
    first = np.searchsorted(row, np.arange(many + 1))
    most = int(np.diff(first).max())
    if most > groups:  # much of the row ties
        values, place = rows.topk(count, dim=1)
        return values, place
    slot = torch.from_numpy(row * most + np.arange(len(found)) - first[row])
    where = torch.from_numpy(found)
    values = rows.new_full((many * most,), -torch.inf)
    values[slot] = rows.reshape(-1)[where]
    place = where.new_zeros(many * most)
    place[slot] = where % n
    values, order = values.view(many, most).topk(count, dim=1)
    return values, place.view(many, most).gather(1, order)


def _in_groups(rows: Float[Tensor, "r n"], count: int) -> tuple[Float[Tensor, "r count"], Int[Tensor, "r count"]]:
    """Goes through the groups of the largest maxima, if there are many groups: how many numbers is known before."""
    many, n = rows.shape
    groups = n // _GROUP
    if groups < _FEW * count:
        values, place = rows.topk(count, dim=1)
        return values, place
    whole = groups * _GROUP
    peaks = rows[:, :whole].view(many, _GROUP, groups).amax(dim=1)
    chosen = peaks.topk(count, dim=1).indices.unsqueeze(1)
    members = (chosen + groups * torch.arange(_GROUP, device=rows.device).view(1, -1, 1)).flatten(1)
    rest = torch.arange(whole, n, device=rows.device).expand(many, -1)
    candidates = torch.cat([members, rest], dim=1)
    values, place = rows.gather(1, candidates).topk(count, dim=1)
    return values, candidates.gather(1, place)

"""What is done otherwise where a device runs ahead of the host: nothing that the host would have to wait for.

On a CPU it pays to look which of many things are there and to go on with those alone. On a GPU the host would have to
wait for how many they are, so that all are gone through, those that are not there counting for nothing.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor


def runs_ahead(device: torch.device) -> bool:
    """Returns whether a device works through what it was given while the host goes on."""
    return device.type != "cpu"


def those(mask: Bool[Tensor, " n"], *, ahead: bool) -> Int[Tensor, " some"] | slice:
    """Returns where a mask holds; everywhere, for what runs ahead and weighs what is not there with zero."""
    # numpy's search takes a quarter of the time of torch's
    return slice(None) if ahead else torch.from_numpy(np.flatnonzero(mask.numpy()))


def at(values: Num[Tensor, "n *rest"], places: Int[Tensor, " some"] | slice) -> Num[Tensor, "some *rest"]:
    """Returns the rows at some places. On a CPU to select takes a tenth of the time that to index does."""
    return values[places] if isinstance(places, slice) else values.index_select(0, places)


def add_by(
    total: Float[Tensor, "groups *rest"],
    group: Int[Tensor, " n"],
    values: Float[Tensor, "n *rest"],
    *,
    ahead: bool,
) -> Float[Tensor, "groups *rest"]:
    """Adds each value to its group's total, in an order that is the same each time, and returns the totals."""
    if not ahead:
        return total.index_add_(0, group, values)
    order = torch.argsort(group, stable=True)
    bounds = torch.searchsorted(group[order], torch.arange(len(total) + 1, device=group.device))
    # a segment is summed by one thread, where adding by index would let them race
    flat = values[order].reshape(len(values), -1)
    sums = torch.segment_reduce(flat, "sum", offsets=bounds, axis=0, unsafe=True, initial=0.0)
    return total.add_(sums.view_as(total))

"""ranks(): the places of values in ascending order, ties averaged."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

_SPARE = 12  # bits of a float64's 52 in which equal values may differ by the rounding of how they were come by


def ranks(values: Float[Tensor, " p"]) -> Float[Tensor, " p"]:
    """Returns the ranks of values of zero or more, from 1, the mean of theirs for those that tie; NaN if any is NaN.

    Values tie that agree in their first 40 binary digits, whatever the largest of them is.
    """
    if torch.isnan(values).any():
        return values
    found = grains(values)
    order = _ascending(found)
    _, group, counts = torch.unique_consecutive(found[order], return_inverse=True, return_counts=True)
    last = counts.cumsum(0).double()
    places = last - (counts.double() - 1) / 2
    return torch.empty_like(values).index_copy_(0, order, places[group])


def grains(values: Float[Tensor, " p"]) -> Int[Tensor, " p"]:
    """Returns numbers of zero or more, float64, as whole numbers in the same order, equal for those that tie."""
    # the bits of positive numbers, read as whole numbers, are in the order of the numbers
    return (values.contiguous().view(torch.int64) + (1 << (_SPARE - 1))) >> _SPARE


def _ascending(values: Int[Tensor, " p"]) -> Int[Tensor, " p"]:
    if values.device.type == "cpu":  # numpy's sort is several times torch's here
        return torch.from_numpy(np.argsort(values.numpy()))
    return values.argsort()

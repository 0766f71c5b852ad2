"""copies(): which items are one item, drawn more than once."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Int
from torch import Tensor

from alignment.preprocessing import PreparedLayer
from alignment.views.identical import marks

_MIX = 0x2545F4914F6CDD1D  # odd, so that no two numbers of an item come to one


def copies(layers: Iterable[PreparedLayer]) -> Int[Tensor, " n"] | None:
    """Returns which of the distinct items each item is, numbered in their order; None if all of them differ.

    Two items are the same if they are in every layer, to the last bit. Layers are read until no two are left.

    Args:
        layers: at least one; of one model or of several, of the same items.
    """
    number = torch.zeros((), dtype=torch.int64)
    for layer in layers:
        mixed = marks(layer).add_(number.to(layer.values.device) * _MIX)
        which = torch.unique(mixed, return_inverse=True)[1]
        place = torch.arange(len(which), device=which.device)
        first = torch.full_like(which, len(which)).scatter_reduce_(0, which, place, "amin")
        number = torch.unique(first[which], return_inverse=True)[1]
        if bool((number == place).all()):
            return None
    return number

"""Runs: the edges of each item, by one of their ends, so that what many items sum over theirs is one product."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Int
from torch import Tensor

_CACHED = 1 << 12  # edges that are gathered at a time


class Runs:
    """Where each item's edges are in a list of them.

    Attributes:
        counts: how many edges each item has.
    """

    def __init__(self, ends: Int[Tensor, " edges"], n: int) -> None:
        """Takes over the items, of `n`, that the edges have at one end."""
        self.counts = torch.bincount(ends, minlength=n)
        self._order = and_none(torch.argsort(ends, stable=True), len(ends))
        self._first = self.counts.cumsum(0) - self.counts

    def of(self, items: Int[Tensor, " m"]) -> Int[Tensor, "m most"]:
        """Returns the places of the items' edges, one beyond all for each that an item has less than another."""
        counts = self.counts[items].unsqueeze(1)
        step = torch.arange(int(counts.max()), device=items.device)
        return self._order[torch.where(step < counts, self._first[items].unsqueeze(1) + step, len(self._order) - 1)]


def alike(one: Int[Tensor, " n"], other: Int[Tensor, " n"]) -> Iterator[Int[Tensor, " m"]]:
    """Yields the items of which neither count is zero, those of high counts first, few enough for a cache at a time."""
    most = torch.maximum(one, other).masked_fill((one == 0) | (other == 0), 0)
    items = torch.argsort(most, descending=True, stable=True)[: int((most > 0).sum())]
    start, widths = 0, most[items].tolist()
    while start < len(widths):
        stop = start + max(1, _CACHED // widths[start])
        yield items[start:stop]
        start = stop


def and_none(places: Int[Tensor, " edges"], none: int) -> Int[Tensor, "edges+1"]:
    """Returns the places and, at the end, that of nothing."""
    return torch.cat([places, places.new_full((1,), none)])

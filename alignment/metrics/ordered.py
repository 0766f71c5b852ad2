"""Metrics of ordered neighbour lists: do two layers name the same items in the same order?"""

from __future__ import annotations

from abc import abstractmethod

import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment.metrics import bits
from alignment.metrics.facts import Pairing, Values
from alignment.views import EdgeFinder, Views, ahead

_CACHED, _SENT = 1 << 20, 1 << 24  # numbers that a step may hold: what a cache holds, what keeps a GPU busy


class OrderedPairing(Pairing):
    """What the metrics of ordered neighbour lists share: both lists of every item and cell, walked side by side.

    Where a list has no more places than a number has bits, a row of the walk's table is one number; else it is a row.
    """

    def __init__(self, a: Views, b: Views, values: Values) -> None:
        self.n, self.k = a.items, int(values["k"])
        self.cells = len(a) * len(b)
        narrow = torch.int16 if self.n < 1 << 15 else torch.int32
        # places first and items last: what is compared lies side by side
        self.b = b.neighbours(self.k).to(narrow).permute(2, 0, 1).contiguous()
        self.size = _SENT if ahead.runs_ahead(a.device) else _CACHED
        self.short = self.k <= bits.WIDEST
        if self.short:
            edges = a.edges(self.k)
            self.finder, self.bits = EdgeFinder(edges), bits.bits_of(edges.rank, self.k)
            return
        self.a = a.neighbours(self.k).to(narrow).permute(2, 0, 1).contiguous()
        self.lengths = counting(self.k + 1)  # an edit distance is tried with one more step than a list has places

    @property
    def operations(self) -> float:
        """A walk of k steps for every item and cell, or of k by k."""
        steps = 30.0 * self.k if self.short else 10.0 * self.k**2
        return self.n * self.cells * steps

    def observed(self) -> Float[Tensor, "a b"]:
        """Returns the grid with items paired as they are."""
        return self._score(self.b)

    def permuted(self, permutation: Int[Tensor, " n"]) -> Float[Tensor, "a b"]:
        """Returns the grid with item i of A paired with item `permutation[i]` of B."""
        back = torch.argsort(permutation).to(self.b.dtype)
        return self._score(back[self.b[:, :, permutation].long()])

    def _score(self, theirs: Int[Tensor, "k b n"]) -> Float[Tensor, "a b"]:
        """Returns the grid, some items at a time."""
        step = max(1, self.size // (self.k * self.cells))
        if self.short:
            item = torch.arange(self.n, device=theirs.device) * self.n
            places = self.finder.places((item + theirs).flatten()).view(theirs.shape)
            parts = torch.split(places, step, dim=2)
            return torch.stack([self._walked(part) for part in parts]).sum(dim=0).T / (self.n * self.k)
        total = torch.zeros(self.a.shape[1], theirs.shape[1], dtype=torch.float64, device=theirs.device)
        for one, other in zip(torch.split(self.a, step, dim=2), torch.split(theirs, step, dim=2), strict=True):
            total += self.lists(one.unsqueeze(2), other.unsqueeze(1)).sum(dim=2, dtype=torch.float64)
        return total / (self.n * self.k)

    def _walked(self, places: Int[Tensor, "k b m"]) -> Float[Tensor, "b a"]:
        matches = self.bits.index_select(0, places.flatten()).view(*places.shape, -1)
        return self.matched(matches).sum(dim=1, dtype=torch.float64)

    @abstractmethod
    def matched(self, matches: Int[Tensor, "k b m a"]) -> Int[Tensor, "b m a"]:
        """Returns each pair of lists' score, times k, from where B's items stand in A's lists."""

    @abstractmethod
    def lists(self, ours: Int[Tensor, "k a 1 m"], theirs: Int[Tensor, "k 1 b m"]) -> Int[Tensor, "a b m"]:
        """Returns each pair of lists' score, times k, from the lists."""


def counting(most: int) -> torch.dtype:
    """Returns the narrowest dtype that counts up to `most`: the walk is as fast as its rows are narrow."""
    return next(dtype for dtype in (torch.int8, torch.int16, torch.int32) if most <= torch.iinfo(dtype).max)


class LcsKnn(OrderedPairing):
    """The mean length of the longest common subsequence of the two ordered neighbour lists, over k.

    Source: Huh et al. 2024, arXiv 2405.07987, whose code leaves it undivided.
    """

    def matched(self, matches: Int[Tensor, "k b m a"]) -> Int[Tensor, "b m a"]:
        """Returns the length of each pair's longest common subsequence."""
        return bits.common(matches)

    def lists(self, ours: Int[Tensor, "k a 1 m"], theirs: Int[Tensor, "k 1 b m"]) -> Int[Tensor, "a b m"]:
        """Returns the length of each pair's longest common subsequence."""
        shape = (ours.shape[1], theirs.shape[2], ours.shape[3])
        row = torch.zeros(self.k + 1, *shape, dtype=self.lengths, device=ours.device)
        for theirs_here in theirs:
            corner = row[0].clone()
            for s in range(self.k):
                above = row[s + 1].clone()
                extended = corner + (ours[s] == theirs_here)
                torch.maximum(torch.maximum(above, row[s]), extended, out=row[s + 1])
                corner = above
        return row[self.k]


class EditDistanceKnn(OrderedPairing):
    """One minus the mean Levenshtein distance of the two ordered neighbour lists, over k.

    Source: Huh et al. 2024, arXiv 2405.07987.
    """

    def matched(self, matches: Int[Tensor, "k b m a"]) -> Int[Tensor, "b m a"]:
        """Returns k less each pair's Levenshtein distance."""
        return bits.kept(matches)

    def lists(self, ours: Int[Tensor, "k a 1 m"], theirs: Int[Tensor, "k 1 b m"]) -> Int[Tensor, "a b m"]:
        """Returns k less each pair's Levenshtein distance."""
        shape = (ours.shape[1], theirs.shape[2], ours.shape[3])
        start = torch.arange(self.k + 1, dtype=self.lengths, device=ours.device)
        row = start.view(-1, 1, 1, 1).expand(self.k + 1, *shape).clone()
        for theirs_here in theirs:
            corner = row[0].clone()
            row[0] += 1
            for s in range(self.k):
                above = row[s + 1].clone()
                swapped = corner + (ours[s] != theirs_here)
                torch.minimum(torch.minimum(above, row[s]) + 1, swapped, out=row[s + 1])
                corner = above
        return self.k - row[self.k]

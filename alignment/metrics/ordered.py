"""Metrics of ordered neighbour lists: do two layers name the same items in the same order?"""

from __future__ import annotations

from abc import abstractmethod

import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment.metrics import bits
from alignment.metrics.facts import Values
from alignment.metrics.lists import ListPairing
from alignment.views import Edges, Views


class OrderedPairing(ListPairing):
    """What the metrics of ordered neighbour lists share: both lists of every item and cell, walked side by side.

    Where a list has no more places than a number has bits, a row of the walk's table is one number; else it is a row.
    """

    def __init__(self, a: Views, b: Views, values: Values) -> None:
        super().__init__(a, b, values)
        self.short = self.k <= bits.WIDEST
        if not self.short:
            self.a = a.neighbours(self.k).to(self.b.dtype).permute(2, 0, 1).contiguous()
            self.lengths = counting(self.k + 1)  # an edit distance is tried with one more step than a list has places

    @property
    def operations(self) -> float:
        """A walk of k steps for every item and cell; of k by k where lists are long."""
        return super().operations if self.short else 10.0 * self.n * self.k**2 * self.cells

    def marked(self, edges: Edges) -> Int[Tensor, "rows layers"]:
        """Returns the bit of each edge's rank in each layer, 0 where it has none."""
        return bits.bits_of(edges.rank, self.k) if self.k <= bits.WIDEST else super().marked(edges)

    def _score(self, theirs: Int[Tensor, "k b n"]) -> Float[Tensor, "a b"]:
        if self.short:
            return super()._score(theirs) / self.k
        total = torch.zeros(self.a.shape[1], theirs.shape[1], dtype=torch.float64, device=theirs.device)
        parts = (torch.split(side, self.step, dim=2) for side in (self.a, theirs))
        for one, other in zip(*parts, strict=True):
            total += self.lists(one.unsqueeze(2), other.unsqueeze(1)).sum(dim=2, dtype=torch.float64)
        return total / (self.n * self.k)

    @abstractmethod
    def lists(self, ours: Int[Tensor, "k a 1 m"], theirs: Int[Tensor, "k 1 b m"]) -> Int[Tensor, "a b m"]:
        """Returns each pair of lists' score, times k, from the lists themselves."""


def counting(most: int) -> torch.dtype:
    """Returns the narrowest dtype that counts up to `most`: the walk is as fast as its rows are narrow."""
    return next(dtype for dtype in (torch.int8, torch.int16, torch.int32) if most <= torch.iinfo(dtype).max)


class LcsKnn(OrderedPairing):
    """The mean length of the longest common subsequence of the two ordered neighbour lists, over k.

    Source: Huh et al. 2024, arXiv 2405.07987, whose code leaves it undivided.
    """

    def walked(self, marks: Int[Tensor, "k b m a"]) -> Int[Tensor, "b m a"]:
        """Returns the length of each pair's longest common subsequence."""
        return bits.common(marks)

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

    def walked(self, marks: Int[Tensor, "k b m a"]) -> Int[Tensor, "b m a"]:
        """Returns k less each pair's Levenshtein distance."""
        return bits.kept(marks)

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

"""Metrics of ordered neighbour lists: do two layers name the same items in the same order?"""

from __future__ import annotations

import itertools
from abc import abstractmethod

import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment.metrics.neighbours import Hits, NeighbourPairing

_CELLS = 1 << 23  # values that a step may hold for all items of a block and all cells


class OrderedPairing(NeighbourPairing):
    """What the metrics of ordered neighbour lists share: both lists of every item and cell, walked side by side."""

    @property
    def operations(self) -> float:
        """A walk of k by k for every item and cell."""
        return 10.0 * self.n * self.k**2 * self.a.member.shape[1] * self.b.member.shape[1]

    def score(self, hits: Hits) -> Float[Tensor, "a b"]:
        """Returns the grid, some items at a time."""
        layers_a, layers_b = self.a.rank.shape[1], self.b.rank.shape[1]
        item = self.a.item[hits.ours]
        step = max(1, _CELLS // (self.k * layers_a * layers_b))
        bounds = torch.searchsorted(item, torch.arange(0, self.n + step, step, device=item.device)).tolist()
        total = torch.zeros(layers_a, layers_b, dtype=torch.float64, device=item.device)
        for number, (low, high) in enumerate(itertools.pairwise(bounds)):
            start, stop = number * step, min((number + 1) * step, self.n)
            part = slice(low, high)
            met = self._meetings(hits.ours[part], hits.theirs[part], item[part] - start, stop - start)
            total += self.lists(met).view(layers_a, layers_b, stop - start).sum(dim=2, dtype=torch.float64)
        return total / (self.n * self.k)

    def _meetings(
        self, ours: Int[Tensor, " hits"], theirs: Int[Tensor, " hits"], item: Int[Tensor, " hits"], items: int
    ) -> Int[Tensor, "k pairs"]:
        """Returns, for each place in B's list, the place of the same item in A's, -1 if it is not there.

        The last axis runs over layers of A, layers of B and items.
        """
        rank_a, rank_b = self.a.rank[ours], self.b.rank[theirs]
        cells = rank_a.shape[1] * rank_b.shape[1]
        met = torch.full((self.k, cells * items), -1, dtype=rank_a.dtype, device=item.device)
        hit, a, b = ((rank_a >= 0).unsqueeze(2) & (rank_b >= 0).unsqueeze(1)).nonzero(as_tuple=True)
        met[rank_b[hit, b].long(), (a * rank_b.shape[1] + b) * items + item[hit]] = rank_a[hit, a]
        return met

    @abstractmethod
    def lists(self, met: Int[Tensor, "k pairs"]) -> Int[Tensor, " pairs"]:
        """Returns each pair of lists' score, times k."""


class LcsKnn(OrderedPairing):
    """The mean length of the longest common subsequence of the two ordered neighbour lists, over k.

    Source: Huh et al. 2024, arXiv 2405.07987, whose code leaves it undivided.
    """

    def lists(self, met: Int[Tensor, "k pairs"]) -> Int[Tensor, " pairs"]:
        """Returns the length of each pair's longest common subsequence."""
        row = torch.zeros(self.k + 1, met.shape[1], dtype=met.dtype, device=met.device)
        for t in range(self.k):
            corner = row[0].clone()
            for s in range(self.k):
                above = row[s + 1].clone()
                extended = corner + (met[t] == s)
                torch.maximum(torch.maximum(above, row[s]), extended, out=row[s + 1])
                corner = above
        return row[self.k]


class EditDistanceKnn(OrderedPairing):
    """One minus the mean Levenshtein distance of the two ordered neighbour lists, over k.

    Source: Huh et al. 2024, arXiv 2405.07987.
    """

    def lists(self, met: Int[Tensor, "k pairs"]) -> Int[Tensor, " pairs"]:
        """Returns k less each pair's Levenshtein distance."""
        start = torch.arange(self.k + 1, dtype=met.dtype, device=met.device)
        row = start.unsqueeze(1).expand(self.k + 1, met.shape[1]).clone()
        for t in range(self.k):
            corner = row[0].clone()
            row[0] += 1
            for s in range(self.k):
                above = row[s + 1].clone()
                swapped = corner + (met[t] != s)
                torch.minimum(torch.minimum(above, row[s]) + 1, swapped, out=row[s + 1])
                corner = above
        return self.k - row[self.k]

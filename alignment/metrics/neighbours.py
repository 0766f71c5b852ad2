"""Metrics of neighbourhoods: do two layers place the same items beside an item?

All of them look at the edges (i, j), j near i, that both sides have. A permutation of B's items moves where an edge is
looked up, and nothing else.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment.metrics.facts import InfluencePairing, Pairing, Values
from alignment.metrics.pairs import at_once
from alignment.views import EdgeFinder, Edges, Views, ahead


@dataclass(frozen=True)
class Hits:
    """The edges that both sides have, under one pairing of their items.

    Attributes:
        ours: their places among A's edges; all of A's, with `theirs` the row of no edge where B has none, on a device
            that runs ahead of the host.
        theirs: their places among B's edges.
    """

    ours: Int[Tensor, " hits"] | slice
    theirs: Int[Tensor, " hits"]


class NeighbourPairing(Pairing):
    """What the metrics of neighbourhoods share: finding the edges that both sides have."""

    def __init__(self, a: Views, b: Views, values: Values) -> None:
        self.n, self.k = a.items, int(values["k"])
        self.a, self.b = a.edges(self.k), b.edges(self.k)
        self.finder, self.ahead = EdgeFinder(self.b), ahead.runs_ahead(a.device)
        # half as much to move where a table of all pairs fits: so does a pair's number
        self.numbers = torch.int64 if self.finder.table is None else torch.int32
        self.item, self.other = self.a.item.to(self.numbers), self.a.other.to(self.numbers)

    @property
    def operations(self) -> float:
        """About 50 for each edge of a layer and each of the other side's layers."""
        return 50.0 * self.n * self.k * self.a.member.shape[1] * self.b.member.shape[1]

    def observed(self) -> Float[Tensor, "a b"]:
        """Returns the grid with items paired as they are."""
        return self.score(Hits(*self.finder.find(self.a.keys)))

    def permuted(self, permutation: Int[Tensor, " n"]) -> Float[Tensor, "a b"]:
        """Returns the grid with item i of A paired with item `permutation[i]` of B."""
        moved = permutation.to(self.numbers)
        keys = ahead.at(moved * self.n, self.item).add_(ahead.at(moved, self.other))
        return self.score(Hits(*self.finder.find(keys)))

    @abstractmethod
    def score(self, hits: Hits) -> Float[Tensor, "a b"]:
        """Returns the grid, from the edges that both sides have."""


class MutualKnn(NeighbourPairing, InfluencePairing):
    """The mean over items of |kNN_A(i) ∩ kNN_B(i)| / k.

    Source: Huh et al. 2024, "The Platonic Representation Hypothesis", arXiv 2405.07987.
    """

    def __init__(self, a: Views, b: Views, values: Values) -> None:
        super().__init__(a, b, values)
        self.views = (a, b)

    def score(self, hits: Hits) -> Float[Tensor, "a b"]:
        """Returns the grid, as one product of who has which edge."""
        ours, theirs = ahead.at(self.a.member[:-1], hits.ours).T, ahead.at(self.b.member, hits.theirs)
        return (at_once(ours, theirs) if self.ahead else ours @ theirs) / (self.n * self.k)

    def null_mean(self) -> Float[Tensor, "a b"]:
        """Returns k / (n - 1) everywhere: by symmetry, whatever the neighbourhoods are."""
        shape = (self.a.member.shape[1], self.b.member.shape[1])
        return torch.full(shape, self.k / (self.n - 1), dtype=torch.float64, device=self.a.keys.device)

    def influences(self, group: Int[Tensor, " n"], groups: int) -> Float[Tensor, "groups a b"]:
        """Returns each group's influence: as whose neighbourhoods they are, and as the neighbours in them.

        Where an item leaves a neighbourhood, the next nearest steps in. Whether that one is in the other side's too is
        counted at its rate over all items and not item by item, which would take the noise of single steps for spread.
        """
        n, k = self.n, self.k
        hits = Hits(*self.finder.find(self.a.keys))
        of_item, of_other = group[self.a.item[hits.ours]], group[self.a.other[hits.ours]]
        score = self.score(hits)
        step_a, step_b = self._stepping_in()
        layers = range(self.a.member.shape[1])
        around = torch.stack([self._counts(layer, hits, of_item, groups) for layer in layers], dim=1)
        among = torch.stack([self._counts(layer, hits, of_other, groups) for layer in layers], dim=1)
        size = torch.zeros(groups, dtype=torch.float64, device=group.device)
        size = size.index_add_(0, group, torch.ones_like(size[:1]).expand(n)).view(groups, 1, 1)
        lost = _sums(self.a, group, groups).unsqueeze(2) * step_a + _sums(self.b, group, groups).unsqueeze(1) * step_b
        moved = around / k - size * score + (among - lost) / k
        return (moved - moved.sum(dim=0) * size / n) / n

    def _counts(self, layer: int, hits: Hits, group: Int[Tensor, " hits"], groups: int) -> Float[Tensor, "g b"]:
        """Returns how many hits each group of items has, for one layer of A and every layer of B."""
        mine = self.a.member[:-1, layer][hits.ours]
        held = ahead.those(mine > 0, ahead=self.ahead)
        counts = torch.zeros(groups, self.b.member.shape[1], dtype=torch.float64, device=group.device)
        # whole numbers: the order in which they are added changes nothing
        theirs = self.b.member[hits.theirs[held]]
        return counts.index_add_(0, group[held], mine.unsqueeze(1) * theirs if self.ahead else theirs)

    def _stepping_in(self) -> tuple[Float[Tensor, "a b"], Float[Tensor, "a b"]]:
        """Returns how often an item's k+1-th nearest on one side is among its k nearest on the other."""
        if self.k == self.n - 1:
            nothing = torch.zeros(self.a.member.shape[1], self.b.member.shape[1], dtype=torch.float64)
            return nothing.to(self.a.keys.device), nothing.to(self.a.keys.device)
        long_a, long_b = (view.edges(self.k + 1) for view in self.views)
        ours, theirs = EdgeFinder(long_b).find(long_a.keys)
        rank_a, rank_b = long_a.rank[:-1][ours], long_b.rank[theirs]
        near_a, near_b = ((rank >= 0) & (rank < self.k) for rank in (rank_a, rank_b))
        next_a, next_b = (rank == self.k for rank in (rank_a, rank_b))
        return (next_a.double().T @ near_b.double()) / self.n, (near_a.double().T @ next_b.double()) / self.n


def _sums(edges: Edges, group: Int[Tensor, " n"], groups: int) -> Float[Tensor, "groups layers"]:
    """Returns in how many neighbourhoods each group's items are, a layer."""
    nothing = torch.zeros(groups, edges.member.shape[1], dtype=torch.float64, device=group.device)
    return nothing.index_add_(0, group[edges.other], edges.member[:-1])

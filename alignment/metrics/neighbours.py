"""Metrics of neighbourhoods: do two layers place the same items beside an item?

All of them look at the edges (i, j), j near i, that both sides have. A permutation of B's items moves where an edge is
looked up, and nothing else.
"""

from __future__ import annotations

import itertools
from abc import abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment.metrics.facts import InfluencePairing, Pairing, Values
from alignment.views import EdgeFinder, Edges, Views

_CELLS = 1 << 23  # values that a step may hold for all items of a block and all cells


@dataclass(frozen=True)
class Hits:
    """The edges that both sides have, under one pairing of their items.

    Attributes:
        ours: their places among A's edges.
        theirs: their places among B's edges.
    """

    ours: Int[Tensor, " hits"]
    theirs: Int[Tensor, " hits"]


class NeighbourPairing(Pairing):
    """What the metrics of neighbourhoods share: finding the edges that both sides have."""

    def __init__(self, a: Views, b: Views, values: Values) -> None:
        self.n, self.k = a.items, int(values["k"])
        self.a, self.b = a.edges(self.k), b.edges(self.k)
        self.finder = EdgeFinder(self.b)
        self.source, self.target = self.ends(self.a)

    @property
    def operations(self) -> float:
        """About 50 for each edge of a layer and each of the other side's layers."""
        return 50.0 * self.n * self.k * self.a.member.shape[1] * self.b.member.shape[1]

    def observed(self) -> Float[Tensor, "a b"]:
        """Returns the grid with items paired as they are."""
        return self.score(Hits(*self.finder.find(self.source * self.n + self.target)))

    def permuted(self, permutation: Int[Tensor, " n"]) -> Float[Tensor, "a b"]:
        """Returns the grid with item i of A paired with item `permutation[i]` of B."""
        keys = permutation[self.source] * self.n + permutation[self.target]
        return self.score(Hits(*self.finder.find(keys)))

    def ends(self, edges: Edges) -> tuple[Int[Tensor, " edges"], Int[Tensor, " edges"]]:
        """Returns the ends of the edge of B that each edge of A is looked up as."""
        return edges.item, edges.other

    @abstractmethod
    def score(self, hits: Hits) -> Float[Tensor, "a b"]:
        """Returns the grid, from the edges that both sides have."""

    def counts(self, layer: int, hits: Hits, item: Int[Tensor, " hits"], items: int) -> Float[Tensor, "n b"]:
        """Returns how many hits each item (or group of them) has, for one layer of A and every layer of B."""
        held = self.a.rank[hits.ours, layer] >= 0
        counts = torch.zeros(items, self.b.member.shape[1], dtype=torch.float64, device=item.device)
        return counts.index_add_(0, item[held], self.b.member[hits.theirs[held]])


class MutualKnn(NeighbourPairing, InfluencePairing):
    """The mean over items of |kNN_A(i) ∩ kNN_B(i)| / k.

    Source: Huh et al. 2024, "The Platonic Representation Hypothesis", arXiv 2405.07987.
    """

    def __init__(self, a: Views, b: Views, values: Values) -> None:
        super().__init__(a, b, values)
        self.views = (a, b)

    def score(self, hits: Hits) -> Float[Tensor, "a b"]:
        """Returns the grid, as one product of who has which edge."""
        return self.a.member[hits.ours].T @ self.b.member[hits.theirs] / (self.n * self.k)

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
        around = torch.stack([self.counts(layer, hits, of_item, groups) for layer in layers], dim=1)
        among = torch.stack([self.counts(layer, hits, of_other, groups) for layer in layers], dim=1)
        size = torch.bincount(group, minlength=groups).double().view(groups, 1, 1)
        lost = _sums(self.a, group, groups).unsqueeze(2) * step_a + _sums(self.b, group, groups).unsqueeze(1) * step_b
        moved = around / k - size * score + (among - lost) / k
        return (moved - moved.sum(dim=0) * size / n) / n

    def _stepping_in(self) -> tuple[Float[Tensor, "a b"], Float[Tensor, "a b"]]:
        """Returns how often an item's k+1-th nearest on one side is among its k nearest on the other."""
        if self.k == self.n - 1:
            nothing = torch.zeros(self.a.member.shape[1], self.b.member.shape[1], dtype=torch.float64)
            return nothing.to(self.a.keys.device), nothing.to(self.a.keys.device)
        long_a, long_b = (view.edges(self.k + 1) for view in self.views)
        ours, theirs = EdgeFinder(long_b).find(long_a.keys)
        rank_a, rank_b = long_a.rank[ours], long_b.rank[theirs]
        near_a, near_b = ((rank >= 0) & (rank < self.k) for rank in (rank_a, rank_b))
        next_a, next_b = (rank == self.k for rank in (rank_a, rank_b))
        return (next_a.double().T @ near_b.double()) / self.n, (near_a.double().T @ next_b.double()) / self.n


def _sums(edges: Edges, group: Int[Tensor, " n"], groups: int) -> Float[Tensor, "groups layers"]:
    """Returns in how many neighbourhoods each group's items are, a layer."""
    nothing = torch.zeros(groups, edges.member.shape[1], dtype=torch.float64, device=group.device)
    return nothing.index_add_(0, group[edges.other], edges.member)


class JaccardKnn(NeighbourPairing):
    """The mean over items of |kNN_A(i) ∩ kNN_B(i)| / |kNN_A(i) ∪ kNN_B(i)|.

    Source: Wang et al. 2022, "Towards Understanding the Instability of Network Embedding" (IEEE TKDE).
    """

    def score(self, hits: Hits) -> Float[Tensor, "a b"]:
        """Returns the grid, a row of A's layers at a time."""
        item = self.a.item[hits.ours]
        rows = []
        for layer in range(self.a.member.shape[1]):
            both = self.counts(layer, hits, item, self.n)
            rows.append((both / (2 * self.k - both)).mean(dim=0))
        return torch.stack(rows)


class CycleKnn(NeighbourPairing):
    """The mean over items of [some j in kNN_B(i) has i in kNN_A(j)]: from A to B and back.

    Source: Huh et al. 2024, arXiv 2405.07987.
    """

    def ends(self, edges: Edges) -> tuple[Int[Tensor, " edges"], Int[Tensor, " edges"]]:
        """Returns A's edges the other way round: (j, i) of A meets (i, j) of B."""
        return edges.other, edges.item

    def score(self, hits: Hits) -> Float[Tensor, "a b"]:
        """Returns the grid, a row of A's layers at a time."""
        item = self.a.other[hits.ours]
        layers = range(self.a.member.shape[1])
        return torch.stack([(self.counts(layer, hits, item, self.n) > 0).double().mean(dim=0) for layer in layers])


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


class Cknna(NeighbourPairing):
    """CKA of the Grams cut down to the neighbours that both sides agree on, by Song's estimator.

    The mask of a side is who is near whom, by rows, and not symmetric, so that the trace of the product of two masked
    Grams sees an edge only where its reverse is there too, and swapping the sides changes the score a little. The self
    terms have masks of their own, so that nothing holds a score below 1.

    Source: Huh et al. 2024, arXiv 2405.07987, appendix; Song et al. 2012, JMLR 13.
    """

    def __init__(self, a: Views, b: Views, values: Values) -> None:
        super().__init__(a, b, values)
        own_a, own_b = (
            torch.where(own > noise, own, torch.nan).rsqrt()
            for own, noise in ((_own_dependence(e), _noise(v, self.k)) for e, v in ((self.a, a), (self.b, b)))
        )
        self.scale = torch.outer(own_a, own_b)

    def score(self, hits: Hits) -> Float[Tensor, "a b"]:
        """Returns the grid, a row of A's layers at a time where sums are by item."""
        n, item, other = self.n, self.a.item[hits.ours], self.a.other[hits.ours]
        gram_a, mask_a = self.a.product[hits.ours], self.a.member[hits.ours]
        gram_b, mask_b = self.b.product[hits.theirs], self.b.member[hits.theirs]
        forth, back = _reciprocal(item * n + other, other * n + item)
        trace = (gram_a[forth] * mask_a[back]).T @ (gram_b[forth] * mask_b[back])
        sums = (gram_a.T @ mask_b) * (mask_a.T @ gram_b)
        chains = torch.stack(
            [
                _chain(n, gram_a[:, layer], mask_a[:, layer], gram_b, mask_b, item, other)
                for layer in range(gram_a.shape[1])
            ]
        )
        return (trace + sums / ((n - 1) * (n - 2)) - 2 * chains / (n - 2)) * self.scale


def _chain(
    n: int,
    gram_a: Float[Tensor, " hits"],
    mask_a: Float[Tensor, " hits"],
    gram_b: Float[Tensor, "hits b"],
    mask_b: Float[Tensor, "hits b"],
    item: Int[Tensor, " hits"],
    other: Int[Tensor, " hits"],
) -> Float[Tensor, " b"]:
    """Returns the sum over items of A's masked column sum times B's masked row sum."""
    held = mask_a.nonzero().squeeze(1)
    nothing = torch.zeros(n, gram_b.shape[1], dtype=torch.float64, device=gram_b.device)
    columns = nothing.index_add(0, other[held], gram_a[held].unsqueeze(1) * mask_b[held])
    rows = nothing.index_add(0, item[held], gram_b[held])
    return (columns * rows).sum(dim=0)


def _reciprocal(
    keys: Int[Tensor, " hits"], reverse: Int[Tensor, " hits"]
) -> tuple[Int[Tensor, " pairs"], Int[Tensor, " pairs"]]:
    """Returns the edges whose reverse is there too, and where it is; `keys` ascend."""
    if not len(keys):
        return keys, keys
    place = torch.searchsorted(keys, reverse).clamp_(max=len(keys) - 1)
    forth = (keys[place] == reverse).nonzero().squeeze(1)
    return forth, place[forth]


def _noise(views: Views, k: int) -> Float[Tensor, " layers"]:
    """Returns what rounding alone could make of n(n - 3) times a layer's masked HSIC with itself."""
    noise = []
    for layer in views.layers:
        size = sum(float(rows.square().sum()) for _, rows in layer.blocks()) / views.items
        noise.append(views.items * k * (50 * torch.finfo(layer.precision).eps * size) ** 2)
    return torch.tensor(noise, dtype=torch.float64, device=views.device)


def _own_dependence(edges: Edges) -> Float[Tensor, " layers"]:
    """Returns n(n - 3) times each layer's masked HSIC with itself."""
    n, gram = edges.n, edges.product
    forth, back = _reciprocal(edges.keys, edges.other * n + edges.item)
    nothing = torch.zeros(n, gram.shape[1], dtype=torch.float64, device=gram.device)
    columns, rows = nothing.index_add(0, edges.other, gram), nothing.index_add(0, edges.item, gram)
    trace = (gram[forth] * gram[back]).sum(dim=0)
    return trace + gram.sum(dim=0) ** 2 / ((n - 1) * (n - 2)) - 2 * (columns * rows).sum(dim=0) / (n - 2)

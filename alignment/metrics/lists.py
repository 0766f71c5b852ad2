"""Metrics by item: what each of an item's neighbours on one side is on the other."""

from __future__ import annotations

from abc import abstractmethod

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor

from alignment.metrics.facts import Pairing, Values
from alignment.views import EdgeFinder, Edges, Views, ahead

_CACHED, _SENT = 1 << 20, 1 << 24  # numbers that a step may hold: what a cache holds, what keeps a GPU busy


class ListPairing(Pairing):
    """What such metrics share: each of B's neighbours of each item, looked up among the edges of all of A's layers."""

    back = False  # whether an item is looked up in its neighbour's list, and not the neighbour in the item's

    def __init__(self, a: Views, b: Views, values: Values) -> None:
        self.n, self.k = a.items, int(values["k"])
        self.cells = len(a) * len(b)
        narrow = torch.int16 if self.n < 1 << 15 else torch.int32
        # places first and items last: what is walked through side by side lies so
        self.b = b.neighbours(self.k).to(narrow).permute(2, 0, 1).contiguous()
        edges = a.edges(self.k)
        self.finder, self.marks = EdgeFinder(edges), self.marked(edges)
        self.step = max(1, (_SENT if ahead.runs_ahead(a.device) else _CACHED) // (self.k * self.cells))

    @property
    def operations(self) -> float:
        """A walk of k steps for every item and cell."""
        return 30.0 * self.n * self.k * self.cells

    def observed(self) -> Float[Tensor, "a b"]:
        """Returns the grid with items paired as they are."""
        return self._score(self.b)

    def permuted(self, permutation: Int[Tensor, " n"]) -> Float[Tensor, "a b"]:
        """Returns the grid with item i of A paired with item `permutation[i]` of B."""
        back = torch.argsort(permutation).to(self.b.dtype)
        theirs = self.b.index_select(2, permutation)
        return self._score(ahead.at(back, theirs.flatten().long()).view(theirs.shape))

    def _score(self, theirs: Int[Tensor, "k b n"]) -> Float[Tensor, "a b"]:
        """Returns the grid, some items at a time."""
        item, other = torch.arange(self.n, device=theirs.device), theirs.long()
        keys = other * self.n + item if self.back else item * self.n + other
        places = self.finder.places(keys.flatten()).view(keys.shape)
        sums = []
        for part in torch.split(places, self.step, dim=2):
            marks = self.marks.index_select(0, part.flatten()).view(*part.shape, -1)
            sums.append(self.walked(marks).sum(dim=1, dtype=torch.float64))
        return torch.stack(sums).sum(dim=0).T / self.n

    def marked(self, edges: Edges) -> Int[Tensor, "rows layers"]:
        """Returns what is known of each edge in each layer: here 1 where it is there, else 0."""
        return (edges.rank >= 0).to(torch.int16 if self.k < 1 << 14 else torch.int32)

    @abstractmethod
    def walked(self, marks: Int[Tensor, "k b m a"]) -> Num[Tensor, "b m a"]:
        """Returns each item's score in each cell, from the marks of its neighbours in turn."""


class JaccardKnn(ListPairing):
    """The mean over items of |kNN_A(i) ∩ kNN_B(i)| / |kNN_A(i) ∪ kNN_B(i)|.

    Source: Wang et al. 2022, "Towards Understanding the Instability of Network Embedding" (IEEE TKDE).
    """

    def walked(self, marks: Int[Tensor, "k b m a"]) -> Float[Tensor, "b m a"]:
        """Returns the share of both sides' neighbours that are both's."""
        both = torch.zeros_like(marks[0])
        for here in marks:
            both += here
        return both.double() / (2 * self.k - both)


class CycleKnn(ListPairing):
    """The mean over items of [some j in kNN_B(i) has i in kNN_A(j)]: from A to B and back.

    Source: Huh et al. 2024, arXiv 2405.07987.
    """

    back = True

    def walked(self, marks: Int[Tensor, "k b m a"]) -> Int[Tensor, "b m a"]:
        """Returns 1 where some neighbour leads back."""
        some = torch.zeros_like(marks[0])
        for here in marks:
            some |= here
        return some

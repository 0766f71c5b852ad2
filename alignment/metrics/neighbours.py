"""Metrics of neighbourhoods: do two layers place the same items beside an item?"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment.metrics.facts import Values
from alignment.views import Views

_TABLE_BYTES = 1 << 28  # a table of all n² pairs of items may take this much; beyond it the edges are searched


class MutualKnn:
    """How much of A's neighbourhoods is in B's: the mean over items of |kNN_A(i) ∩ kNN_B(i)| / k.

    The neighbourhoods of all of A's layers are one list of edges (i, j), each with a mask of the layers that have it,
    and so are B's. A permutation of B's items moves where an edge is looked up, and nothing else.

    Source: Huh et al. 2024, "The Platonic Representation Hypothesis", arXiv 2405.07987.
    """

    def __init__(self, a: Views, b: Views, values: Values) -> None:
        k = int(values["k"])
        self.n, self.k = a.items, k
        keys, self.members = _edges(a.neighbours(k))
        self.item, self.other = keys // self.n, keys % self.n
        self.lookup = _EdgeTable(b.neighbours(k))

    def observed(self) -> Float[Tensor, "a b"]:
        """Returns the grid with items paired as they are."""
        return self._score(self.item * self.n + self.other)

    def permuted(self, permutation: Int[Tensor, " n"]) -> Float[Tensor, "a b"]:
        """Returns the grid with item i of A paired with item `permutation[i]` of B."""
        # j is near i in A; their partners are perm[j] and perm[i] in B
        return self._score(permutation[self.item] * self.n + permutation[self.other])

    def _score(self, keys: Int[Tensor, " edges"]) -> Float[Tensor, "a b"]:
        row, theirs = self.lookup.find(keys)
        return (self.members[row].T @ theirs) / (self.n * self.k)


def _edges(neighbours: Int[Tensor, "layers n k"]) -> tuple[Int[Tensor, " edges"], Float[Tensor, "edges layers"]]:
    """Returns the edges of all layers, as i * n + j, and which layers have each (1.0 or 0.0)."""
    layers, n, _ = neighbours.shape
    keys = neighbours + n * torch.arange(n, device=neighbours.device).view(1, n, 1)
    union, place = torch.unique(keys, return_inverse=True)
    members = torch.zeros(len(union), layers, dtype=torch.float64, device=neighbours.device)
    layer = torch.arange(layers, device=neighbours.device).view(layers, 1, 1).expand_as(place)
    members[place.flatten(), layer.flatten()] = 1
    return union, members


class _EdgeTable:
    """Finds which edges of one side are the other's too: in a table of all pairs, or by search if n is large."""

    def __init__(self, neighbours: Int[Tensor, "layers n k"]) -> None:
        self.keys, self.members = _edges(neighbours)
        n = neighbours.shape[1]
        self.table: Int[Tensor, " pairs"] | None = None
        if n * n * 4 <= _TABLE_BYTES:
            self.table = torch.full((n * n,), -1, dtype=torch.int32, device=neighbours.device)
            self.table[self.keys] = torch.arange(len(self.keys), dtype=torch.int32, device=neighbours.device)

    def find(self, wanted: Int[Tensor, " edges"]) -> tuple[Int[Tensor, " hits"], Float[Tensor, "hits layers"]]:
        """Returns the positions in `wanted` of the edges that are here, and which layers have each."""
        if self.table is not None:
            place = self.table[wanted]
            hits = (place >= 0).nonzero().squeeze(1)
            return hits, self.members[place[hits].long()]
        place = torch.searchsorted(self.keys, wanted).clamp_(max=len(self.keys) - 1)
        hits = (self.keys[place] == wanted).nonzero().squeeze(1)
        return hits, self.members[place[hits]]

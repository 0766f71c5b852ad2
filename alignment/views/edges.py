"""Edges: the neighbourhoods of a stack of layers as one list of pairs of items."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment.views import ahead

_TABLE_BYTES = 1 << 28  # a table of all n² pairs of items may take this much; beyond it the edges are searched


@dataclass(frozen=True, eq=False)
class Edges:
    """Every pair (i, j) where j is near i in some layer, and in which layers, at which rank, with which product.

    Attributes:
        n: how many items.
        k: how many neighbours an item has.
        keys: i * n + j, ascending.
        item: i.
        other: j.
        place: where among them each layer's neighbours are.
        rank: `[edges + 1, layers]`, 0 for the nearest, -1 where the layer does not have the edge. The last row, of this
            and of the next two, is that of an edge that no layer has.
        product: `[edges + 1, layers]`, the inner product, float64; 0 where the layer does not have the edge.
        member: `[edges + 1, layers]`, 1.0 where the layer has the edge, float64.
    """

    n: int
    k: int
    keys: Int[Tensor, " edges"]
    item: Int[Tensor, " edges"]
    other: Int[Tensor, " edges"]
    place: Int[Tensor, "layers n k"]
    rank: Int[Tensor, "edges+1 layers"]
    product: Float[Tensor, "edges+1 layers"]
    member: Float[Tensor, "edges+1 layers"]

    @classmethod
    def of(cls, neighbours: Int[Tensor, "layers n k"], products: Float[Tensor, "layers n k"]) -> Edges:
        """Returns the edges of a stack of layers."""
        layers, n, k = neighbours.shape
        device = neighbours.device
        keys, place = torch.unique(neighbours + n * torch.arange(n, device=device).view(1, n, 1), return_inverse=True)
        at = place.flatten() * layers + torch.arange(layers, device=device).repeat_interleave(n * k)
        narrow = torch.int16 if k < 1 << 15 else torch.int32
        shape = (len(keys) + 1, layers)
        rank = torch.full((shape[0] * layers,), -1, dtype=narrow, device=device)
        rank.scatter_(0, at, torch.arange(k, dtype=narrow, device=device).expand(layers, n, k).flatten())
        product = torch.zeros(shape[0] * layers, dtype=torch.float64, device=device)
        product.scatter_(0, at, products.flatten())
        member = (rank >= 0).double().view(shape)
        item, other = keys // n, keys % n
        return cls(n, k, keys, item, other, place, rank.view(shape), product.view(shape), member)

    @cached_property
    def reverse(self) -> Int[Tensor, " edges"]:
        """Where (j, i) is; the last row if no layer has it."""
        return place_of(self.other * self.n + self.item, self.keys)

    def __len__(self) -> int:
        return len(self.keys)


def place_of(wanted: Int[Tensor, " wanted"], keys: Int[Tensor, " edges"]) -> Int[Tensor, " wanted"]:
    """Returns where among ascending keys the wanted ones are; their number for one that is not there."""
    place = torch.searchsorted(keys, wanted).clamp_(max=len(keys) - 1)
    return torch.where(ahead.at(keys, place) == wanted, place, len(keys))


class EdgeFinder:
    """Finds edges by their keys: in a table of all pairs, or by search if n is large."""

    def __init__(self, edges: Edges) -> None:
        self.keys, self.table, self.ahead = edges.keys, None, ahead.runs_ahead(edges.keys.device)
        if edges.n**2 * 4 <= _TABLE_BYTES:
            device = edges.keys.device
            self.table = torch.full((edges.n**2,), -1, dtype=torch.int32, device=device)
            self.table[self.keys] = torch.arange(len(self.keys), dtype=torch.int32, device=device)

    def find(self, wanted: Int[Tensor, " wanted"]) -> tuple[Int[Tensor, " hits"] | slice, Int[Tensor, " hits"]]:
        """Returns the positions in `wanted` of the keys that are here, and where here each is.

        On a device that runs ahead these are all positions, and the row of no edge for those that are not here.
        """
        if self.ahead:
            return slice(None), self.places(wanted)
        if self.table is not None:
            place = ahead.at(self.table, wanted)
            hits = ahead.those(place >= 0, ahead=False)
            return hits, ahead.at(place, hits).long()
        place = torch.searchsorted(self.keys, wanted).clamp_(max=len(self.keys) - 1)
        hits = ahead.those(ahead.at(self.keys, place) == wanted, ahead=False)
        return hits, ahead.at(place, hits)

    def places(self, wanted: Int[Tensor, " wanted"]) -> Int[Tensor, " wanted"]:
        """Returns where each of the keys is; the row of no edge for those that are not here."""
        if self.table is None:
            return place_of(wanted, self.keys)
        place = ahead.at(self.table, wanted)
        return torch.where(place >= 0, place, len(self.keys)).long()

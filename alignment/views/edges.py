"""Edges: the neighbourhoods of a stack of layers as one list of pairs of items."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

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
        rank: `[edges, layers]`, 0 for the nearest, -1 where the layer does not have the edge.
        product: `[edges, layers]`, the inner product, float64; 0 where the layer does not have the edge.
        member: `[edges, layers]`, 1.0 where the layer has the edge, float64.
    """

    n: int
    k: int
    keys: Int[Tensor, " edges"]
    item: Int[Tensor, " edges"]
    other: Int[Tensor, " edges"]
    rank: Int[Tensor, "edges layers"]
    product: Float[Tensor, "edges layers"]
    member: Float[Tensor, "edges layers"]

    @classmethod
    def of(cls, neighbours: Int[Tensor, "layers n k"], products: Float[Tensor, "layers n k"]) -> Edges:
        """Returns the edges of a stack of layers."""
        layers, n, k = neighbours.shape
        device = neighbours.device
        keys, place = torch.unique(neighbours + n * torch.arange(n, device=device).view(1, n, 1), return_inverse=True)
        at = place.flatten() * layers + torch.arange(layers, device=device).repeat_interleave(n * k)
        narrow = torch.int16 if k < 1 << 15 else torch.int32
        rank = torch.full((len(keys) * layers,), -1, dtype=narrow, device=device)
        rank[at] = torch.arange(k, dtype=narrow, device=device).expand(layers, n, k).flatten()
        product = torch.zeros(len(keys) * layers, dtype=torch.float64, device=device)
        product[at] = products.flatten()
        shape = (len(keys), layers)
        member = (rank >= 0).double().view(shape)
        return cls(n, k, keys, keys // n, keys % n, rank.view(shape), product.view(shape), member)


class EdgeFinder:
    """Finds edges by their keys: in a table of all pairs, or by search if n is large."""

    def __init__(self, edges: Edges) -> None:
        self.keys, self.table = edges.keys, None
        if edges.n**2 * 4 <= _TABLE_BYTES:
            device = edges.keys.device
            self.table = torch.full((edges.n**2,), -1, dtype=torch.int32, device=device)
            self.table[self.keys] = torch.arange(len(self.keys), dtype=torch.int32, device=device)

    def find(self, wanted: Int[Tensor, " wanted"]) -> tuple[Int[Tensor, " hits"], Int[Tensor, " hits"]]:
        """Returns the positions in `wanted` of the keys that are here, and where here each is."""
        if self.table is not None:
            place = self.table[wanted]
            hits = (place >= 0).nonzero().squeeze(1)
            return hits, place[hits].long()
        place = torch.searchsorted(self.keys, wanted).clamp_(max=len(self.keys) - 1)
        hits = (self.keys[place] == wanted).nonzero().squeeze(1)
        return hits, place[hits]

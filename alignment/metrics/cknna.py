"""CKNNA: kernel alignment over the neighbours that both sides agree on."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment.metrics.facts import Values
from alignment.metrics.neighbours import Hits, NeighbourPairing
from alignment.metrics.runs import Runs, alike, and_none
from alignment.preprocessing import PreparedLayer
from alignment.views import Edges, Views, ahead


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
        """Returns the grid."""
        n, item, other = self.n, ahead.at(self.a.item, hits.ours), ahead.at(self.a.other, hits.ours)
        gram_a, mask_a = (ahead.at(values[:-1], hits.ours) for values in (self.a.product, self.a.member))
        gram_b, mask_b = (ahead.at(values, hits.theirs) for values in (self.b.product, self.b.member))
        if self.ahead:  # an edge without its reverse counts for nothing
            beside = torch.cat([hits.theirs, hits.theirs.new_full((1,), len(self.b))])[self.a.reverse]
            trace = (gram_a * self.a.member[self.a.reverse]).T @ (gram_b * self.b.member[beside])
        else:
            forth, back = _reciprocal(item * n + other, other * n + item)
            trace = (ahead.at(gram_a, forth) * ahead.at(mask_a, back)).T @ (
                ahead.at(gram_b, forth) * ahead.at(mask_b, back)
            )
        sums = (gram_a.T @ mask_b) * (mask_a.T @ gram_b)
        chains = (
            self._chains_at_once(hits.theirs, item, other)
            if isinstance(hits.ours, slice)
            else self._chains(hits.ours, hits.theirs, item, other)
        )
        return (trace + sums / ((n - 1) * (n - 2)) - 2 * chains / (n - 2)) * self.scale

    def _chains(
        self,
        ours: Int[Tensor, " hits"],
        theirs: Int[Tensor, " hits"],
        item: Int[Tensor, " hits"],
        other: Int[Tensor, " hits"],
    ) -> Float[Tensor, "a b"]:
        """Returns the sum over items of A's masked column sum times B's masked row sum.

        The edges from an item, and those to it, are two small products, which items with as many edges share.
        """
        ours, theirs = and_none(ours, len(self.a)), and_none(theirs, len(self.b))
        away, to = Runs(item, self.n), Runs(other, self.n)
        total = torch.zeros_like(self.scale)
        for items in alike(away.counts, to.counts):
            out, back = away.of(items), to.of(items)
            rows = _rows(self.a.member, ours[out]).transpose(1, 2) @ _rows(self.b.product, theirs[out])
            columns = _rows(self.a.product, ours[back]).transpose(1, 2) @ _rows(self.b.member, theirs[back])
            total += (rows * columns).sum(dim=0)
        return total

    def _chains_at_once(
        self, theirs: Int[Tensor, " edges"], item: Int[Tensor, " edges"], other: Int[Tensor, " edges"]
    ) -> Float[Tensor, "a b"]:
        """Returns the same from all of A's edges, a layer at a time, without asking how many edges an item has."""
        gram_b, mask_b, chains = self.b.product[theirs], self.b.member[theirs], []
        for gram_a, mask_a in zip(self.a.product[:-1].T, self.a.member[:-1].T, strict=True):
            rows = torch.zeros(self.n, gram_b.shape[1], dtype=torch.float64, device=item.device)
            rows = ahead.add_by(rows, item, mask_a.unsqueeze(1) * gram_b, ahead=True)
            # an entry of a column sum meets its column's row sum: no sum by columns is needed
            chains.append((gram_a.unsqueeze(1) * mask_b * rows[other]).sum(dim=0))
        return torch.stack(chains)


def _rows(values: Float[Tensor, "edges layers"], places: Int[Tensor, "m most"]) -> Float[Tensor, "m most layers"]:
    return values.index_select(0, places.flatten()).view(*places.shape, -1)


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
        size = _size(layer)
        noise.append(views.items * k * (50 * torch.finfo(layer.precision).eps * size / views.items).square())
    return torch.stack(noise)


def _size(layer: PreparedLayer) -> Float[Tensor, ""]:
    """Returns the sum of the features' squares."""
    if layer.norms is not None:  # a row has unit length then, unless it is zero
        return (layer.values.abs().amax(dim=1) > 0).sum().double()
    size = torch.zeros((), dtype=torch.float64, device=layer.values.device)
    for _, rows in layer.blocks():
        size += rows.square().sum()
    return size


def _own_dependence(edges: Edges) -> Float[Tensor, " layers"]:
    """Returns n(n - 3) times each layer's masked HSIC with itself."""
    n, layers = edges.n, len(edges.place)
    layer = torch.arange(layers, device=edges.place.device).view(-1, 1, 1)
    gram = _taken(edges.product, edges.place * layers + layer)
    rows = gram.sum(dim=2)
    trace = (gram * _taken(edges.product, edges.reverse[edges.place] * layers + layer)).sum(dim=(1, 2))
    chain = (gram * _taken(rows, edges.other[edges.place] + n * layer)).sum(dim=(1, 2))
    return trace + rows.sum(dim=1) ** 2 / ((n - 1) * (n - 2)) - 2 * chain / (n - 2)


def _taken(values: Float[Tensor, "r c"], places: Int[Tensor, "layers n k"]) -> Float[Tensor, "layers n k"]:
    """Returns what is at each place of all values, one row after the other."""
    return values.flatten().index_select(0, places.flatten()).view(places.shape)

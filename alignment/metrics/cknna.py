"""CKNNA: kernel alignment over the neighbours that both sides agree on."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment.metrics.facts import Values
from alignment.metrics.neighbours import Hits, NeighbourPairing
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
            for own, noise in (
                (_own_dependence(e, runs_ahead=self.ahead), _noise(v, self.k)) for e, v in ((self.a, a), (self.b, b))
            )
        )
        self.scale = torch.outer(own_a, own_b)

    def score(self, hits: Hits) -> Float[Tensor, "a b"]:
        """Returns the grid, a row of A's layers at a time where sums are by item."""
        n, item, other = self.n, self.a.item[hits.ours], self.a.other[hits.ours]
        gram_a, mask_a = self.a.product[:-1][hits.ours], self.a.member[:-1][hits.ours]
        gram_b, mask_b = self.b.product[hits.theirs], self.b.member[hits.theirs]
        if self.ahead:  # an edge without its reverse counts for nothing
            beside = torch.cat([hits.theirs, hits.theirs.new_full((1,), len(self.b))])[self.a.reverse]
            trace = (gram_a * self.a.member[self.a.reverse]).T @ (gram_b * self.b.member[beside])
        else:
            forth, back = _reciprocal(item * n + other, other * n + item)
            trace = (gram_a[forth] * mask_a[back]).T @ (gram_b[forth] * mask_b[back])
        sums = (gram_a.T @ mask_b) * (mask_a.T @ gram_b)
        chains = torch.stack(
            [
                self._chain(gram_a[:, layer], mask_a[:, layer], gram_b, mask_b, item, other)
                for layer in range(gram_a.shape[1])
            ]
        )
        return (trace + sums / ((n - 1) * (n - 2)) - 2 * chains / (n - 2)) * self.scale

    def _chain(
        self,
        gram_a: Float[Tensor, " hits"],
        mask_a: Float[Tensor, " hits"],
        gram_b: Float[Tensor, "hits b"],
        mask_b: Float[Tensor, "hits b"],
        item: Int[Tensor, " hits"],
        other: Int[Tensor, " hits"],
    ) -> Float[Tensor, " b"]:
        """Returns the sum over items of A's masked column sum times B's masked row sum, for one layer of A."""
        held = ahead.those(mask_a > 0, ahead=self.ahead)
        theirs = mask_a.unsqueeze(1) * gram_b if self.ahead else gram_b[held]
        rows = torch.zeros(self.n, gram_b.shape[1], dtype=torch.float64, device=item.device)
        rows = ahead.add_by(rows, item[held], theirs, ahead=self.ahead)
        # an entry of a column sum meets its column's row sum: no sum by columns is needed
        return (gram_a[held].unsqueeze(1) * mask_b[held] * rows[other[held]]).sum(dim=0)


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
        size = torch.zeros((), dtype=torch.float64, device=views.device)
        for _, rows in layer.blocks():
            size += rows.square().sum()
        noise.append(views.items * k * (50 * torch.finfo(layer.precision).eps * size / views.items).square())
    return torch.stack(noise)


def _own_dependence(edges: Edges, *, runs_ahead: bool) -> Float[Tensor, " layers"]:
    """Returns n(n - 3) times each layer's masked HSIC with itself."""
    n, gram = edges.n, edges.product[:-1]
    rows = torch.zeros(n, gram.shape[1], dtype=torch.float64, device=gram.device)
    rows = ahead.add_by(rows, edges.item, gram, ahead=runs_ahead)
    trace = (gram * edges.product[edges.reverse]).sum(dim=0)
    return trace + gram.sum(dim=0) ** 2 / ((n - 1) * (n - 2)) - 2 * (gram * rows[edges.other]).sum(dim=0) / (n - 2)

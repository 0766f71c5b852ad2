"""Streamed: standardised dissimilarities of which blocks are formed from the features, each time they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment.errors import OverBudgetError
from alignment.preprocessing import PreparedLayer
from alignment.views.places import Places
from alignment.views.ranks import grains
from alignment.views.triangles import Triangles
from alignment.views.unlike import Contrast, Points, inner_item, varies

_COPIES = 4  # of some items' features in float64, that making points of them takes at once
_SAMPLE = 1 << 21  # pairs that say where values are many
_FEWEST = 64  # items whose distances to all others are such a sample


class Streamed(Triangles):
    """Dissimilarities that do not fit, of values; of ranks they are `StreamedRanks`."""

    def __init__(self, layers: Sequence[PreparedLayer], contrast: Contrast, dtype: torch.dtype, budget: int) -> None:
        device = layers[0].values.device
        super().__init__(len(layers), len(layers[0].values), dtype=dtype, device=device, budget=budget)
        self.pairs = self.n * (self.n - 1) // 2
        self._prepared, self._contrast = layers, contrast
        self._centres = [inner_item(layer) if contrast.ranked else layer.mean() for layer in layers]
        self._learn()

    def _learn(self) -> None:
        """Finds what standardises each layer: the mean of its values, and their length about it."""
        self._means = torch.stack([self._total(index, 0.0, 1) for index in range(self.layers)]) / self.pairs
        whole = torch.stack([self._total(index, 0.0, 2) for index in range(self.layers)]).sqrt()
        spread = torch.stack([self._total(index, mean, 2) for index, mean in enumerate(self._means)]).sqrt()
        self._lengths = torch.where(varies(spread, whole), spread, torch.nan)

    def block(self, number: int, permutation: Int[Tensor, " n"] | None = None) -> Float[Tensor, "layers packed"]:
        """Returns block `number` of every layer, flattened; of the items in `permutation`'s order, if there is one."""
        start, stop = self.rows(number)
        blocks = []
        for index in range(self.layers):
            entries = self._standard(index, self._entries(index, number, permutation))
            entries[:, : stop - start].triu_(1)
            blocks.append(entries.flatten().to(self.dtype))
        return torch.stack(blocks)

    def _standard(self, index: int, entries: Float[Tensor, "r c"]) -> Float[Tensor, "r c"]:
        """Returns one layer's dissimilarities, standardised; they may be written over."""
        return entries.sub_(self._means[index]).div_(self._lengths[index])

    def _entries(self, index: int, number: int, permutation: Int[Tensor, " n"] | None = None) -> Float[Tensor, "r c"]:
        """Returns one layer's dissimilarities in a block; below the diagonal they may lack digits."""
        start, stop = self.rows(number)
        items = slice(start, stop) if permutation is None else permutation[start:stop]
        ours = self._points(index, items)
        out = torch.empty(stop - start, self.n - start, dtype=torch.float64, device=self.device)
        for at in range(start, self.n, self._step(index)):
            part = out[:, at - start : at - start + self._step(index)]
            others = self._points(index, slice(at, at + part.shape[1]), permutation)
            self._fill(part, ours, others, diagonal=1 + start - at)
        return out

    def _step(self, index: int) -> int:
        """Returns how many items' points are made at once."""
        width = self._prepared[index].values.shape[1]
        return max(self.rows(0)[1], self.budget // (_COPIES * 8 * width))

    def _fill(self, out: Float[Tensor, "r c"], ours: Points, others: Points, *, diagonal: int) -> None:
        """Writes how unlike some items are to others."""
        ours.from_products(torch.mm(ours.places, others.places.T, out=out), others)
        if self._contrast.ranked:
            ours.refine(out, others, diagonal=diagonal)

    def _points(
        self, index: int, where: slice | Int[Tensor, " r"], permutation: Int[Tensor, " n"] | None = None
    ) -> Points:
        items = where if permutation is None else permutation[where]
        return Points.of(self._prepared[index].rows(items), self._contrast.dissimilarity, self._centres[index])

    def _total(self, index: int, shift: Tensor | float, power: int) -> Float[Tensor, ""]:
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        for number in range(len(self)):
            start, stop = self.rows(number)
            entries = self._entries(index, number).sub_(shift).pow_(power)
            entries[:, : stop - start].triu_(1)
            total += entries.sum()
        return total


class StreamedRanks(Streamed):
    """The same of the dissimilarities' ranks, from a table of where values stand.

    Raises:
        OverBudgetError: if a layer's table leaves a correlation in more doubt than the metric's tolerance.
    """

    def _learn(self) -> None:
        self._tables = [self._table(index) for index in range(self.layers)]

    def _standard(self, index: int, entries: Float[Tensor, "r c"]) -> Float[Tensor, "r c"]:
        table = self._tables[index]
        return entries.fill_(torch.nan) if table is None else table.standing(entries)

    def _table(self, index: int) -> Places | None:
        """Returns where one layer's values stand; None if they all tie, or an item has none."""
        sample = self._some(index)
        if sample.isnan().any():
            return None
        table = Places(grains(sample), self._ceiling(index), Places.room(self.budget, self.layers))
        for values in self._every(index):
            table.count(values)
        if table.unsettled():
            for values in self._every(index):
                table.tell_ties(values)
        if not table.settle():
            raise OverBudgetError(
                f"the ranks of all pairs of {self.n} items cannot be told apart within the {self.budget / 2**30:.1f} "
                "GiB of the budget, so many are nearly equal; take fewer samples, or correlation=pearson"
            )
        return table if table.varies else None

    def _some(self, index: int) -> Float[Tensor, " s"]:
        """Returns the dissimilarities of some items, evenly spread, to all others."""
        count = min(self.n, max(_FEWEST, _SAMPLE // self.n))
        items = torch.arange(count, device=self.device) * self.n // count
        ours, found = self._points(index, items), []
        for at in range(0, self.n, self._step(index)):
            others = self._points(index, slice(at, at + self._step(index)))
            part = torch.empty(count, len(others.places), dtype=torch.float64, device=self.device)
            self._fill(part, ours, others, diagonal=-self.n)
            found.append(part)
        rows = torch.cat(found, dim=1)
        own = torch.zeros_like(rows, dtype=torch.bool)
        own[torch.arange(count, device=self.device), items] = True
        return rows[~own]

    def _ceiling(self, index: int) -> float:
        """Returns what no dissimilarity passes, by a good deal."""
        if self._contrast.dissimilarity == "correlation":
            return 4.0
        layer, centre = self._prepared[index], self._centres[index]
        return 8 * float(torch.stack([(rows - centre).square().sum(dim=1).max() for _, rows in layer.blocks()]).max())

    def _every(self, index: int) -> Iterator[Float[Tensor, " p"]]:
        """Yields the dissimilarities of all pairs of items, each once."""
        for number in range(len(self)):
            start, stop = self.rows(number)
            entries = self._entries(index, number)
            corner = entries[:, : stop - start]
            yield corner[torch.ones_like(corner, dtype=torch.bool).triu_(1)]
            yield entries[:, stop - start :].flatten()

"""Places: where a value stands among billions that are never held at once.

The values are counted in bins, narrow where they are many, and a bin stands for the mean of the ranks of those in it,
which is their exact rank where they tie. As a vector over all values, the exact ranks differ from these means by what
lies within bins, so that the angle between the two, standardised, is known to be at most

    θ = arcsin √(W / (B + W)),    W = Σ c (c² - 1) / 12 over the bins whose values may differ,

c being how many are in a bin and B the squared length of the means about their mean. Angles obey the triangle
inequality, so that a correlation of two rankings is off by no more than the sum of both angles, whatever the values.

Source: Kendall 1948, "Rank Correlation Methods", chapter 3 (the variance that ties take from ranks).
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment.views.ranks import grains

ANGLE = 4e-7  # what two layers' ranks may be off by together is below the metric's tolerance of 1e-6
_MOST = 1 << 23  # bins: more would leave the cache for good and gain digits that nobody reads
_DEEP = 29  # of a grain's lowest bits, those that a coarse bin does not see
_COARSE = 1 << 18  # coarse bins: 128 octaves of 2,048
_CHUNK, _SENT = 1 << 17, 1 << 24  # values worked on at a time: what a cache holds, what keeps a GPU busy
_TIES = 1 << 20  # bins whose ties are told from the rest
_BYTES = 4  # of a rank in the table


class Places:
    """A table of ranks, filled by `count`, by `tell_ties` where `unsettled`, and then `settle`d.

    Attributes:
        varies: whether there are two values that differ.
        angle: θ, once it is settled.
    """

    @staticmethod
    def room(budget: int, layers: int) -> int:
        """Returns how many bins each layer's table may have in a budget of bytes; a power of two."""
        return 1 << (max(1, min(_MOST, budget // (2 * _BYTES * layers))).bit_length() - 1)

    @staticmethod
    def enough(bins: int, pairs: int) -> bool:
        """Whether so many bins, evenly filled, would tell so many values apart."""
        return bins > 2 * _COARSE and 1 / bins**2 + 3 / (bins * pairs) < ANGLE**2 / 2

    def __init__(self, sample: Int[Tensor, " s"], ceiling: float, bins: int) -> None:
        """Lays out the bins.

        Args:
            sample: the grains of some of the values.
            ceiling: what no value passes.
            bins: how many there may be, more than twice the coarse ones.
        """
        self.varies, self.angle, device = False, 0.0, sample.device
        self._chunk = _CHUNK if device.type == "cpu" else _SENT
        self._first = (int(grains(torch.tensor([ceiling], dtype=torch.float64))) >> _DEEP) - (_COARSE - 1)
        share = torch.bincount(self._coarse(sample), minlength=_COARSE).double() / len(sample)
        share[0] = 0  # the lowest holds zero, and what is too small to be told from it
        bits = torch.log2((share * (bins - _COARSE)).clamp(min=1)).floor().long().clamp(max=_DEEP)
        below = torch.cumsum(1 << bits, dim=0)
        start = (self._first + torch.arange(_COARSE, device=device)) << _DEEP
        self._shift = _DEEP - bits
        self._offset = below - (1 << bits) - (start >> self._shift)
        self._shift[0], self._offset[0] = 62, 0
        self._sample = sample
        self._counts = torch.zeros(int(below[-1]), dtype=torch.int64, device=device)
        self._zeros = torch.zeros((), dtype=torch.int64, device=device)
        self._told: Int[Tensor, " bins"] | None = None  # a bin's number among those whose ties are told, else -1
        self._tie = self._parts = torch.zeros(0, dtype=torch.int64, device=device)
        self._ranks = torch.zeros(0, dtype=torch.float32, device=device)

    def count(self, values: Float[Tensor, " p"]) -> None:
        """Counts some of the values, each once in all."""
        for some in torch.split(values, self._chunk):
            grain = grains(some)
            key = self._keys(grain)
            self._counts.scatter_add_(0, key, torch.ones_like(key[:1]).expand(len(key)))
            self._zeros += (grain == 0).sum()

    def unsettled(self) -> bool:
        """Returns whether ties must be told from the rest, in bins that hold so many values that it matters."""
        unsure = self._unsure()
        borne = ANGLE**2 / 2 * self._spread(self._counts, self._means(self._counts))
        if bool(unsure.sum() <= borne):
            return False
        heavy, which = unsure.sort(descending=True)
        wanted = 1 + int((unsure.sum() - torch.cumsum(heavy, dim=0) > borne).sum())
        which = which[: min(wanted, _TIES)].sort().values
        self._told = torch.full_like(self._counts, -1)
        self._told[which] = torch.arange(len(which), device=which.device)
        self._tie = self._commonest(len(which))
        self._parts = torch.zeros(3 * len(which), dtype=torch.int64, device=which.device)
        return True

    def tell_ties(self, values: Float[Tensor, " p"]) -> None:
        """Counts some of the values that are less than, equal to and greater than the commonest of their bin."""
        for some in torch.split(values, self._chunk):
            grain = grains(some)
            part, _ = self._part(grain, self._keys(grain))
            self._parts.scatter_add_(0, part, torch.ones_like(part))

    def settle(self) -> bool:
        """Makes the table of ranks; returns whether it is as good as it must be."""
        unsure, means = self._unsure(), self._means(self._counts)
        counts = self._counts.clone()
        if self._told is not None:
            told = self._told >= 0
            parts = self._parts.view(-1, 3)
            start = (means - (self._counts + 1) / 2)[told].unsqueeze(1)
            inside = torch.cumsum(parts, dim=1) - parts + (parts + 1) / 2
            unsure, counts = unsure.masked_fill(told, 0), counts.masked_fill(told, 0)
            unsure = torch.cat([unsure, _within(parts[:, 0]), _within(parts[:, 2])])
            means, counts = torch.cat([means, (start + inside).flatten()]), torch.cat([counts, self._parts])
        spread = self._spread(counts, means)
        self.varies = bool(spread > 0)
        doubt = float(unsure.sum() / (spread + unsure.sum())) if self.varies else 0.0
        middle = (self._counts.sum() + 1) / 2
        self._ranks = ((means - middle) / spread.sqrt()).float()
        self._sample = self._counts = self._parts = torch.zeros(0, dtype=torch.int64, device=means.device)
        self.angle = math.asin(math.sqrt(doubt))
        return self.angle <= ANGLE

    def standing(self, values: Float[Tensor, "r c"]) -> Float[Tensor, "r c"]:
        """Returns the ranks of values, standardised over all that were counted, float32."""
        found = torch.empty(values.numel(), dtype=torch.float32, device=values.device)
        for some, out in zip(torch.split(values.flatten(), self._chunk), torch.split(found, self._chunk), strict=True):
            grain = grains(some)
            key = self._keys(grain)
            if self._told is not None:
                part, where = self._part(grain, key)
                key[where] = len(self._told) + part
            torch.index_select(self._ranks, 0, key, out=out)
        return found.view(values.shape)

    def _coarse(self, grain: Int[Tensor, " p"]) -> Int[Tensor, " p"]:
        return (grain >> _DEEP).sub_(self._first).clamp_(0, _COARSE - 1)

    def _keys(self, grain: Int[Tensor, " p"]) -> Int[Tensor, " p"]:
        """Returns each value's bin, in the order of the values."""
        coarse = self._coarse(grain)
        return (grain >> self._shift.index_select(0, coarse)).add_(self._offset.index_select(0, coarse))

    def _part(self, grain: Int[Tensor, " p"], key: Int[Tensor, " p"]) -> tuple[Int[Tensor, " t"], Int[Tensor, " t"]]:
        """Returns the parts of those in a bin whose ties are told, and which they are."""
        assert self._told is not None  # noqa: S101 - asked for only then
        told = self._told.index_select(0, key)
        where = (told >= 0).nonzero().squeeze(1)
        told, grain = told[where], grain[where]
        tie = self._tie[told]
        return 3 * told + (grain >= tie) + (grain > tie), where

    def _commonest(self, bins: int) -> Int[Tensor, " bins"]:
        """Returns the commonest of the sample in each bin whose ties are told; -1 where it has none of it."""
        assert self._told is not None  # noqa: S101 - asked for only then
        value, count = torch.unique(self._sample, return_counts=True)
        told = self._told[self._keys(value)]
        order = count.argsort(stable=True)
        order = order[told[order].argsort(stable=True)]
        last = torch.ones_like(order, dtype=torch.bool)
        last[:-1] = told[order][1:] != told[order][:-1]
        chosen = order[last & (told[order] >= 0)]
        found = torch.full((bins,), -1, dtype=torch.int64, device=value.device)
        found[told[chosen]] = value[chosen]
        return found

    def _means(self, counts: Int[Tensor, " bins"]) -> Float[Tensor, " bins"]:
        return torch.cumsum(counts, dim=0) - counts + (counts + 1) / 2.0

    def _spread(self, counts: Int[Tensor, " bins"], means: Float[Tensor, " bins"]) -> Float[Tensor, ""]:
        middle = (self._counts.sum() + 1) / 2
        return (counts * (means - middle).square()).sum()

    def _unsure(self) -> Float[Tensor, " bins"]:
        """Returns the most that each bin's exact ranks may vary by."""
        found = _within(self._counts)
        found[0] *= self._counts[0] != self._zeros  # zeros tie
        return found


def _within(counts: Int[Tensor, " bins"]) -> Float[Tensor, " bins"]:
    wide = counts.double()
    return wide * (wide.square() - 1).clamp(min=0) / 12

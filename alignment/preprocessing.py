"""Clipping and normalising: what is done to a layer's activations before anything is measured."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment.errors import RequestError

_FAR = 16  # bits
_CACHED, _SENT = 1 << 16, 1 << 24  # float64 values worked on at a time: what a cache holds, what keeps a GPU busy


@dataclass(frozen=True)
class Preprocessing:
    """Both steps of the Platonic Representation Hypothesis's own script, the first in its exact variant.

    Attributes:
        clip: q in (0, 1]: clamp a layer to plus or minus the order statistic `sort(|x|)[int(q n d)]` of its
            `n d` values; None leaves them. It works coordinate by coordinate and so is not invariant to rotation.
        normalize: scale each row to unit Euclidean norm; a row of zeros stays.
    """

    clip: float | None = 0.95
    normalize: bool = True

    def __post_init__(self) -> None:
        if self.clip is not None and not 0 < self.clip <= 1:
            raise RequestError(f"clip must be above 0 and at most 1, or off, not {self.clip}")


@dataclass(frozen=True, eq=False)
class PreparedLayer:
    """One layer's preprocessed features, made from the activations as they are asked for.

    The activations themselves stay as they came; features in float32 are for speed, and the same features in float64
    are there for the few places where float32 cannot decide.

    Attributes:
        values: the activations, `[n, d]`, on the device that computes.
        bound: the clipping bound; None for none.
        norms: what each row is divided by, `[n]` float64; None for nothing.
        scale: a power of two that all values are multiplied by, so that no square over- or underflows. No metric here
            sees it, and it rounds nothing.
    """

    values: Float[Tensor, "n d"]
    bound: float | None
    norms: Float[Tensor, " n"] | None
    scale: float = 1.0

    @property
    def precision(self) -> torch.dtype:
        """The dtype that products are formed in: float64 for float64 activations, else float32 (never half)."""
        return torch.float64 if self.values.dtype == torch.float64 else torch.float32

    @property
    def at_once(self) -> int:
        """How many rows in float64 suit the device at a time."""
        most = _CACHED if self.values.device.type == "cpu" else _SENT
        return max(1, most // self.values.shape[1])

    def rows(self, index: Int[Tensor, " r"] | slice) -> Float[Tensor, "r d"]:
        """Returns the features of some items, float64, rounded nowhere before."""
        # on a CPU to select takes a sixth of the time that to index does
        some = self.values[index] if isinstance(index, slice) else self.values.index_select(0, index)
        rows = some.to(torch.float64, copy=True)
        if self.bound is not None:
            rows.clamp_(-self.bound, self.bound)
        if self.scale != 1:
            rows *= self.scale
        if self.norms is not None:
            rows /= self.norms[index].unsqueeze(1)
        return rows

    def blocks(self) -> Iterator[tuple[slice, Float[Tensor, "r d"]]]:
        """Yields the features in float64, as many rows at a time as suit the device."""
        for start in range(0, len(self.values), self.at_once):
            where = slice(start, min(start + self.at_once, len(self.values)))
            yield where, self.rows(where)

    def features(self, *, centred: bool = False) -> Float[Tensor, "n d"]:
        """Returns all features in `precision`; `centred` takes each column's mean off, in float64, before rounding."""
        out = torch.empty_like(self.values, dtype=self.precision)
        shift = self.mean() if centred else None
        for where, rows in self.blocks():
            out[where] = rows if shift is None else rows.sub_(shift)
        return out

    def mean(self) -> Float[Tensor, " d"]:
        """Returns each column's mean, float64."""
        total = torch.zeros(self.values.shape[1], dtype=torch.float64, device=self.values.device)
        for _, rows in self.blocks():
            total += rows.sum(dim=0)
        return total / len(self.values)


def prepare(values: Float[Tensor, "n d"], steps: Preprocessing) -> PreparedLayer:
    """Returns a layer, ready to be measured, with what its preprocessing needs from the whole of it."""
    return prepare_all([values], steps)[0]


def prepare_all(stack: Sequence[Float[Tensor, "n _"]], steps: Preprocessing) -> list[PreparedLayer]:
    """Returns the layers of a stack, each as `prepare` gives it; a host waits once for what a device finds in them."""
    ends = [torch.stack(list(values.aminmax())).double() for values in stack]
    bounds = [
        values.new_zeros((), dtype=torch.float64) if steps.clip is None else _order_statistic(values, steps.clip)
        for values in stack
    ]
    seen = torch.stack([torch.cat([end, bound.view(1)]) for end, bound in zip(ends, bounds, strict=True)]).tolist()
    return [
        _prepared(values, low, high, None if steps.clip is None else bound, steps)
        for values, (low, high, bound) in zip(stack, seen, strict=True)
    ]


def _prepared(
    values: Float[Tensor, "n d"], low: float, high: float, bound: float | None, steps: Preprocessing
) -> PreparedLayer:
    layer = PreparedLayer(values, bound, None, _power_of_two(low, high, bound))
    if not steps.normalize:
        return layer
    norms = torch.cat([torch.linalg.vector_norm(rows, dim=1) for _, rows in layer.blocks()])
    return replace(layer, norms=torch.where(norms == 0, 1.0, norms))


def _power_of_two(low: float, high: float, bound: float | None) -> float:
    """Returns what brings the largest magnitude near 1, if it is so far from there that squares would suffer."""
    largest = max(-low, high) if bound is None else min(max(-low, high), bound)
    exponent = math.frexp(largest)[1] if math.isfinite(largest) else 0
    return math.ldexp(1.0, -exponent) if abs(exponent) > _FAR else 1.0


def _order_statistic(values: Float[Tensor, "n d"], q: float) -> Float[Tensor, ""]:
    index = min(math.floor(q * values.numel()), values.numel() - 1)
    if values.device.type == "cpu" and values.dtype != torch.bfloat16:  # numpy selects several times faster
        flat = np.abs(values.numpy().reshape(-1))
        flat.partition(index)
        return torch.tensor(flat[index], dtype=torch.float64)
    exact = values if values.dtype == torch.float64 else values.float()
    return exact.abs().flatten().kthvalue(index + 1).values.double()

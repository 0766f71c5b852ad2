"""What is wrong with a layer: findings that make its scores meaningless, or that a reader of them must know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from alignment.preprocessing import PreparedLayer

MOST = 0.5  # a share of the variance above which one item or direction is the layer
_FEW = 64  # rows that show a layer to be no constant, if they differ
_STEPS = 12  # of power iteration: the share that it finds is a lower bound, near where the answer is above one half


@dataclass(frozen=True)
class Finding:
    """One thing found in a layer.

    Attributes:
        code: what, for programs: `non_finite`, `constant_layer`, `clipped_away`, `zero_rows` or `massive_activation`.
        detail: what, for people, with what to do.
    """

    code: str
    detail: str


def faults(layers: Sequence[PreparedLayer]) -> tuple[Finding | None, ...]:
    """Returns what makes every score of a layer meaningless, layer by layer; None for one that can be compared.

    The host waits once for all layers, and again only for those that do not look sound.
    """
    sound = torch.stack([_sound(layer) for layer in layers]).tolist()
    return tuple(None if good else _fault(layer) for good, layer in zip(sound, layers, strict=True))


def _sound(layer: PreparedLayer) -> Bool[Tensor, ""]:
    """Returns whether a glance at a layer shows that it can be compared."""
    if layer.bound == 0:
        return torch.zeros((), dtype=torch.bool, device=layer.values.device)
    few = layer.rows(slice(0, _FEW))
    return layer.values.sum().isfinite() & ((few - few[0]).square().sum() > 1e-6 * few.square().sum())


def _fault(layer: PreparedLayer) -> Finding | None:
    bad = torch.zeros(1) if layer.values.sum().isfinite() else ~torch.isfinite(layer.values).all(dim=1)
    if bad.any():
        row, count = int(bad.nonzero()[0]), int(bad.sum())
        return Finding("non_finite", f"{count} items have NaN or Inf, the first in row {row}; try float32")
    if layer.bound == 0 and bool(layer.values.any()):
        return Finding("clipped_away", "so many values are zero that clipping leaves nothing; turn it off (--no-clip)")
    few = layer.rows(slice(0, _FEW))
    if float((few - few[0]).square().sum()) > 1e-6 * float(few.square().sum()):
        return None
    first, spread, whole = few[0], 0.0, 0.0
    for _, rows in layer.blocks():
        spread += float((rows - first).square().sum())
        whole += float(rows.square().sum())
    if spread**0.5 <= 4 * torch.finfo(layer.precision).eps * whole**0.5:
        return Finding("constant_layer", "every item has the same activation, so that nothing can be compared")
    return None


def oddities(layers: Sequence[PreparedLayer]) -> list[list[Finding]]:
    """Returns what a reader of each layer's scores must know; nothing for a healthy one. The host waits once."""
    if not layers:
        return []
    looks = torch.stack([_look(layer) for layer in layers]).tolist()
    return [_findings(len(layer.values), *look) for layer, look in zip(layers, looks, strict=True)]


def _look(layer: PreparedLayer) -> Float[Tensor, "4"]:
    """Returns how many rows are zero; the largest item's share of the variance, its place; a direction's share."""
    zero = (layer.values == 0).all(dim=1).sum()
    centred = layer.features(centred=True)
    lengths = torch.linalg.vector_norm(centred, dim=1, dtype=torch.float64).square()
    total = lengths.sum()
    direction = _leading_share(centred, total)
    return torch.stack([zero.double(), lengths.max() / total, lengths.argmax().double(), direction])


def _findings(items: int, zero: float, share: float, item: float, direction: float) -> list[Finding]:
    findings = []
    if zero:
        findings.append(Finding("zero_rows", f"{int(zero)} of {items} rows are zero and have no direction"))
    if share > MOST:
        detail = f"item {int(item)} alone carries {share:.0%} of the variance: CKA measures little else"
        findings.append(Finding("massive_activation", detail))
    elif direction > MOST:
        detail = f"one direction carries {direction:.0%} of the variance: CKA measures little else"
        findings.append(Finding("massive_activation", detail))
    return findings


def _leading_share(centred: Float[Tensor, "n d"], total: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """Returns a lower bound on the share of the variance along the leading direction."""
    vector = centred.index_select(0, centred.square().sum(dim=1).argmax().view(1))[0]
    for _ in range(_STEPS):
        vector = vector / torch.linalg.vector_norm(vector)
        projected = centred @ vector
        vector = projected @ centred
    share: Tensor = projected.double().square().sum() / total
    return share

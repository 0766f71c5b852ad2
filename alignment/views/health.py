"""What is wrong with a layer: findings that make its scores meaningless, or that a reader of them must know."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
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


def fault(layer: PreparedLayer) -> Finding | None:
    """Returns what makes every score of a layer meaningless; None for a layer that can be compared."""
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


def oddities(layer: PreparedLayer) -> list[Finding]:
    """Returns what a reader of a layer's scores must know; nothing for a healthy one."""
    findings = []
    zero = int((layer.values == 0).all(dim=1).sum())
    if zero:
        findings.append(Finding("zero_rows", f"{zero} of {len(layer.values)} rows are zero and have no direction"))
    centred = layer.features(centred=True)
    lengths = torch.linalg.vector_norm(centred, dim=1, dtype=torch.float64).square()
    total = float(lengths.sum())
    item = float(lengths.max()) / total
    direction = _leading_share(centred, total)
    if item > MOST:
        detail = f"item {int(lengths.argmax())} alone carries {item:.0%} of the variance: CKA measures little else"
        findings.append(Finding("massive_activation", detail))
    elif direction > MOST:
        detail = f"one direction carries {direction:.0%} of the variance: CKA measures little else"
        findings.append(Finding("massive_activation", detail))
    return findings


def _leading_share(centred: Float[Tensor, "n d"], total: float) -> float:
    """Returns a lower bound on the share of the variance along the leading direction."""
    vector = centred[int(centred.square().sum(dim=1).argmax())]
    for _ in range(_STEPS):
        vector = vector / torch.linalg.vector_norm(vector)
        projected = centred @ vector
        vector = projected @ centred
    return float(projected.double().square().sum()) / total

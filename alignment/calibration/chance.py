"""Chance: where a score stands among those of shuffled items.

Under the null the two models see the same items in unrelated order. A permutation of B's items re-indexes every layer
of B alike, so one permutation serves the whole grid, and the null of the best pair is that of the grid's maximum.

Source: Groeger et al., "Revisiting the Platonic Representation Hypothesis: An Aristotelian View", arXiv 2602.14486.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from alignment.calibration.settings import Progress
from alignment.metrics import Metric, Pairing

_SENT = 1 << 26  # bytes of permutations
ALPHA = 0.05  # the share of null scores that a threshold leaves above it


@dataclass(frozen=True)
class Chance:
    """A score, or a grid of them, beside its null.

    Attributes:
        mean: the null's mean.
        threshold: tau, the ceil((1 - alpha)(m + 1))-th smallest of the m null scores and the observed one.
        calibrated: max(0, (s - tau) / (s_max - tau)).
        p: (1 + #{null >= s}) / (m + 1); super-uniform under independence, since ties count.
    """

    mean: Float[Tensor, "*cells"]
    threshold: Float[Tensor, "*cells"]
    calibrated: Float[Tensor, "*cells"]
    p: Float[Tensor, "*cells"]


def null_scores(
    pairing: Pairing, items: int, count: int, *, seed: int, device: torch.device, progress: Progress
) -> Float[Tensor, "m a b"]:
    """Returns the grid's scores under `count` seeded permutations of B's items, float64."""
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 0x9E2A])))
    grids: list[Tensor] = []
    step = max(1, _SENT // (8 * items))
    for start in range(0, count, step):  # sent many at a time, so that a device need not be waited for between them
        drawn = np.stack([random.permutation(items) for _ in range(start, min(start + step, count))])
        for some in torch.split(torch.from_numpy(drawn).to(device), pairing.together):
            grids += pairing.shuffled(some)
            progress("calibrate", len(grids), count)
    return torch.stack(grids)


def against_chance(observed: Float[Tensor, "*cells"], null: Float[Tensor, "m *cells"], metric: Metric) -> Chance:
    """Returns where observed scores stand in their null; NaN stays NaN.

    Args:
        observed: the scores.
        null: as many scores a cell as there were permutations.
        metric: whose scores they are: its upper bound ends the calibrated scale, and a null score as near below the
            observed one as the metric's tolerance counts as a tie.
    """
    count = len(null)
    p = (1 + (null >= observed - metric.tolerance).sum(dim=0).double()) / (count + 1)
    pooled = torch.cat([null, observed.unsqueeze(0)]).sort(dim=0).values
    threshold = pooled[_place(count)]
    room = metric.range[1] - threshold
    calibrated = torch.where(room > 0, (observed - threshold) / room, 0.0).clamp(min=0)
    nothing = torch.isnan(observed)
    return Chance(
        mean=null.mean(dim=0).masked_fill(nothing, torch.nan),
        threshold=threshold.masked_fill(nothing, torch.nan),
        calibrated=calibrated.masked_fill(nothing, torch.nan),
        p=p.masked_fill(nothing, torch.nan),
    )


def few_permutations(count: int) -> bool:
    """Returns whether so few permutations, if any, leave the threshold at the largest score, be it the observed one."""
    return count > 0 and _place(count) == count


def _place(count: int) -> int:
    """Returns the threshold's place, from 0, among `count` null scores and the observed one."""
    return math.ceil((1 - ALPHA) * (count + 1)) - 1


def maximum(null: Float[Tensor, "m a b"]) -> Float[Tensor, " m"]:
    """Returns the best score of each permutation's grid, over the cells that have a meaning."""
    return null.masked_fill(torch.isnan(null), -torch.inf).flatten(1).max(dim=1).values

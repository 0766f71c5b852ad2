"""calibrated(): a metric's grid over the layers of two networks, and the same against shuffled items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from alignment.calibration import against_chance, null_scores
from alignment.metrics import MetricChoice
from alignment.preprocessing import Preprocessing, prepare
from alignment.views import Views

_NONE = Preprocessing(clip=None, normalize=False)


@dataclass(frozen=True)
class CalibratedGrid:
    """Scores, and scores on the scale where 0 is what 95% of shuffles stay below, and 1 perfect.

    Attributes:
        score: row A, column B.
        calibrated: likewise.
    """

    score: list[list[float]]
    calibrated: list[list[float]]


def calibrated(
    metric: str,
    a: Sequence[Float[Tensor, "n _"]],
    b: Sequence[Float[Tensor, "n _"]],
    *,
    seed: int,
    permutations: int = 100,
    steps: Preprocessing = _NONE,
) -> CalibratedGrid:
    """Returns a metric's grid.

    Args:
        metric: its name, with parameters if need be.
        a: A's layers, row i is item i.
        b: B's, of the same items.
        seed: of the shuffles.
        permutations: how many.
        steps: what is done to each layer first; by default neither clipping, which is not invariant to rotation, nor
            normalising.
    """
    choice = MetricChoice.parse(metric)
    views = [Views([prepare(layer.detach(), steps) for layer in side]) for side in (a, b)]
    pairing = choice.metric.pair(views[0], views[1], choice.values)
    observed = pairing.observed()
    null = null_scores(
        pairing,
        len(a[0]),
        permutations,
        seed=seed,
        device=torch.device("cpu"),
        progress=lambda stage, done, total: None,
    )
    return CalibratedGrid(observed.tolist(), against_chance(observed, null, choice.metric).calibrated.tolist())


def diagonal(grid: Sequence[Sequence[float]]) -> float:
    """Returns the mean over layers of the same depth, as far as both networks go.

    >>> diagonal([[1.0, 0.0, 0.0], [0.0, 0.5, 0.0]])
    0.75
    """
    cells = [row[place] for place, row in enumerate(grid) if place < len(row)]
    return sum(cells) / len(cells)

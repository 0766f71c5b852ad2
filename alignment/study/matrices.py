"""matrix_of(): from the best pair of layers of each pair of models to one metric's matrices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from alignment.metrics import MetricChoice
from alignment.report import Best
from alignment.report.study import MatrixResult
from alignment.study.clusters import find_clusters
from alignment.study.multiplicity import benjamini_hochberg
from alignment.study.pairs import Pair


def matrix_of(choice: MetricChoice, names: Sequence[str], best: Mapping[Pair, Best]) -> MatrixResult:
    """Returns one metric's matrices, and the clusters that they speak of.

    q-values are over the pairs that were measured: once a pair for a symmetric metric, else both ways.

    Args:
        choice: the metric.
        names: the models.
        best: the best pair of layers of each pair of models that was measured and has a meaning.
    """
    tested = {pair: found.p_value for pair, found in best.items() if found.p_value is not None}
    q = dict(zip(tested, benjamini_hochberg(list(tested.values())), strict=True))
    cells = dict(best)
    if choice.metric.symmetric:
        for (a, b), found in best.items():
            cells[b, a] = replace(found, layer_a=found.layer_b, layer_b=found.layer_a)
            if (a, b) in q:
                q[b, a] = q[a, b]

    def matrix(value: Callable[[Best], Any]) -> Any:
        count = range(len(names))
        return tuple(tuple(value(cells[a, b]) if (a, b) in cells else None for b in count) for a in count)

    scores = matrix(lambda found: found.score)
    calibrated = matrix(lambda found: found.calibrated) if tested else None
    intervals = any(found.interval is not None for found in best.values())
    return MatrixResult(
        key=choice.key,
        name=choice.metric.name,
        params=dict(choice.values),
        range=choice.metric.range,
        symmetric=choice.metric.symmetric,
        matrix=scores,
        null_mean=matrix(lambda found: found.null_mean) if tested else None,
        calibrated=calibrated,
        p_value=matrix(lambda found: found.p_value) if tested else None,
        q_value=tuple(tuple(q.get((a, b)) for b in range(len(names))) for a in range(len(names))) if tested else None,
        interval=matrix(lambda found: found.interval) if intervals else None,
        best_layers=matrix(lambda found: (found.layer_a, found.layer_b)),
        clusters=find_clusters(
            names, scores if calibrated is None else calibrated, "calibrated" if tested else "score"
        ),
    )

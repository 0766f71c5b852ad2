"""Summary: the one score a metric that is told of a result, and kept for a schedule's history."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from typing import Any


def summary(kind: str, result: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns, by a metric's key, `score`, `calibrated`, `p_value`, `layer_a` and `layer_b`.

    Of a comparison they are the best layer pair's. Of a study `score` and `calibrated` are means over the pairs of
    different models, and the rest is null: no one pair of layers, and no one test, is behind a mean.

    Args:
        kind: the kind of job.
        result: its result.
    """
    metrics = result.get("metrics") or ()
    return {metric["key"]: _of_matrix(metric) if kind == "study" else _of_best(metric) for metric in metrics}


def _of_best(metric: Mapping[str, Any]) -> dict[str, Any]:
    best = metric.get("best") or {}
    return {name: best.get(name) for name in ("score", "calibrated", "p_value", "layer_a", "layer_b")}


def _of_matrix(metric: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "score": _mean(metric.get("matrix")),
        "calibrated": _mean(metric.get("calibrated")),
        "p_value": None,
        "layer_a": None,
        "layer_b": None,
    }


def _mean(matrix: Any) -> float | None:
    """Returns the mean off the diagonal; None if there is nothing there."""
    cells = [
        cell
        for number, row in enumerate(matrix or ())
        for other, cell in enumerate(row)
        if other != number and cell is not None
    ]
    return fmean(cells) if cells else None

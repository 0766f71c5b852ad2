"""Matrices: one metric of a study, model by model: as numbers, and as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from fastapi import Response

from alignment.report.study import Clusters, MatrixResult
from alignment.report.study_figures import matrix_figure
from app.scoring import found

Format = Literal["json", "csv", "npz", "svg"]
_MATRICES = ("matrix", "null_mean", "calibrated", "p_value", "q_value")


def matrix(format: Format, result: Mapping[str, Any], metric: Mapping[str, Any], _: Mapping[str, Any]) -> Response:
    """Returns a metric's matrices: all of them as JSON and NPZ, the scores alone as CSV and as a picture."""
    models, key = [model["name"] for model in result["models"]], metric["key"]
    if format == "json":
        return found.as_json({**metric, "models": models})
    if format == "npz":
        return found.as_npz(key, {name: metric[name] for name in _MATRICES}, {"models": models})
    if format == "csv":
        return found.as_csv(key, key, models, zip(models, metric["matrix"], strict=True))
    read = MatrixResult(**{**metric, "clusters": Clusters(**metric["clusters"]), "trend": None})
    return found.as_picture(lambda: matrix_figure(read, tuple(models)), found.SVG)

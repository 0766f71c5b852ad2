"""Grids: one metric of a comparison, layer by layer: as numbers, and as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from fastapi import Response

from alignment.report import AlignmentReport, heatmap
from app.scoring import found

GridFormat = Literal["json", "csv", "npz"]
PictureFormat = Literal["svg", "png"]
_GRIDS = ("grid", "null_mean_grid", "calibrated_grid", "p_grid")
_TYPES = {"svg": found.SVG, "png": found.PNG}


def grid(format: GridFormat, result: Mapping[str, Any], metric: Mapping[str, Any], _: Mapping[str, Any]) -> Response:
    """Returns a metric's grids: all of them as JSON and NPZ, the scores alone as CSV."""
    layers = {"layers_a": result["layers_a"], "layers_b": result["layers_b"]}
    key = metric["key"]
    if format == "json":
        return found.as_json({**metric, **layers})
    if format == "npz":
        return found.as_npz(key, {name: metric[name] for name in _GRIDS}, layers)
    rows = zip(result["layers_a"], metric["grid"], strict=True)
    return found.as_csv(key, key, result["layers_b"], rows)


def picture(
    format: PictureFormat, result: Mapping[str, Any], metric: Mapping[str, Any], payload: Mapping[str, Any]
) -> Response:
    """Returns the picture of a metric's grid, under the names that the models are registered by."""
    report = AlignmentReport.from_dict({**result, "metrics": [metric]})
    names = (payload["a"]["name"], payload["b"]["name"])
    return found.as_picture(
        lambda: heatmap(report.metrics[0], report.layers_a, report.layers_b, *names, format), _TYPES[format]
    )

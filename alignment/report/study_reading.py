"""read_study(): a study's report from the plain data that it was written as."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from alignment.report.study import (
    Clusters,
    KernelFit,
    KernelResult,
    MatrixResult,
    Prediction,
    StudyModel,
    StudyReport,
    StudyWarning,
    Trend,
)


def read_study(result: Mapping[str, Any]) -> StudyReport:
    """Returns the report that `StudyReport.to_dict` wrote, its lists as lists.

    Raises:
        KeyError: if a field is missing.
    """
    return StudyReport(
        result["samples"],
        tuple(StudyModel(**model) for model in result["models"]),
        tuple(_metric(metric) for metric in result["metrics"]),
        _prediction(result["prediction"]),
        tuple(StudyWarning(**warning) for warning in result["warnings"]),
        result["provenance"],
    )


def _metric(given: Mapping[str, Any]) -> MatrixResult:
    trend = given["trend"]
    read = {"clusters": Clusters(**given["clusters"]), "trend": None if trend is None else Trend(**trend)}
    return MatrixResult(**{**given, **read})


def _prediction(given: Mapping[str, Any] | None) -> Prediction | None:
    if given is None:
        return None
    fits = [tuple(KernelFit(**fit) for fit in metric["models"]) for metric in given["metrics"]]
    metrics = (KernelResult(**{**m, "models": models}) for m, models in zip(given["metrics"], fits, strict=True))
    return Prediction(**{**given, "metrics": tuple(metrics)})

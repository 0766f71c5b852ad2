"""AlignmentReport: what a comparison found, as plain frozen data that serialises to the service's `result`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Grid = tuple[tuple[float | None, ...], ...]  # row A, column B; None where a score has no meaning


@dataclass(frozen=True)
class Best:
    """The layer pair of the highest score, its null that of the maximum over the grid.

    Attributes:
        layer_a: the layer of A.
        layer_b: the layer of B.
        score: its score.
        interval: of the best score, lower and upper; None where none was made.
        null_mean: the mean best score of shuffled items.
        null_threshold: what 95% of shuffled best scores stay at or below.
        calibrated: 0 at the threshold or below, 1 at the metric's upper bound.
        p_value: how often shuffled items score as high, the observed pairing counted in.
    """

    layer_a: str
    layer_b: str
    score: float
    interval: tuple[float, float] | None = None
    null_mean: float | None = None
    null_threshold: float | None = None
    calibrated: float | None = None
    p_value: float | None = None


@dataclass(frozen=True)
class MetricResult:
    """One metric over the grid of layers.

    Attributes:
        key: unique in a report: the name, and the parameters that are not at their default.
        name: the metric.
        params: all its parameters.
        range: the least and the greatest score.
        grid: scores.
        null_mean_grid: each cell's mean score over permutations.
        calibrated_grid: each cell's score, 0 at its own null's threshold and 1 at the upper bound.
        p_grid: each cell's own p-value, not corrected for there being many cells.
        null_method: what the cells' p-values are from: `permutation`, or `pearson_iii`, an approximation from the exact
            moments; None where there is none. The best pair's is always from permutations.
        best: the best pair; None if no cell has a meaning.
    """

    key: str
    name: str
    params: Mapping[str, Any]
    range: tuple[float, float]
    grid: Grid
    null_mean_grid: Grid | None = None
    calibrated_grid: Grid | None = None
    p_grid: Grid | None = None
    null_method: str | None = None
    best: Best | None = None


@dataclass(frozen=True)
class ReportWarning:
    """Something that a reader of the scores must know.

    Attributes:
        code: what, for programs.
        detail: what, for people.
        side: `a` or `b`, where it is about one.
        layer: the layer, where it is about one.
    """

    code: str
    detail: str
    side: str | None = None
    layer: str | None = None


@dataclass(frozen=True)
class AlignmentReport:
    """All that a comparison found, and what is needed to get it again.

    Attributes:
        samples: how many items were compared.
        layers_a: the layers of A, the grids' rows.
        layers_b: the layers of B, their columns.
        metrics: one result a metric, in the order asked for.
        warnings: what a reader must know.
        provenance: models, probe, request, seed, device and versions.
    """

    samples: int
    layers_a: tuple[str, ...]
    layers_b: tuple[str, ...]
    metrics: tuple[MetricResult, ...]
    warnings: tuple[ReportWarning, ...]
    provenance: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Returns the report as the service's `result`: dicts, lists, numbers, text and None alone."""
        result: dict[str, Any] = plain(self)
        return result

    @classmethod
    def from_dict(cls, result: Mapping[str, Any]) -> AlignmentReport:
        """Returns the report that `to_dict` wrote, its provenance as plain data.

        Raises:
            KeyError: if a field is missing.
        """
        return cls(
            result["samples"],
            tuple(result["layers_a"]),
            tuple(result["layers_b"]),
            tuple(_metric(metric) for metric in result["metrics"]),
            tuple(ReportWarning(**warning) for warning in result["warnings"]),
            result["provenance"],
        )

    def metric(self, key: str) -> MetricResult:
        """Returns the result of that key.

        Raises:
            KeyError: if the report has none.
        """
        return {result.key: result for result in self.metrics}[key]


def plain(value: Any) -> Any:
    """Returns a value as dicts, lists, numbers, text and None alone."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value


def _metric(given: Mapping[str, Any]) -> MetricResult:
    best = given["best"]
    return MetricResult(
        **{
            **given,
            "range": tuple(given["range"]),
            "best": None
            if best is None
            else Best(**{**best, "interval": best["interval"] and tuple(best["interval"])}),
        }
    )

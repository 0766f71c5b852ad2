"""StudyReport: what a study of N models found, as plain frozen data that serialises to the service's `result`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from alignment.report.data import Grid, plain

Intervals = tuple[tuple[tuple[float, float] | None, ...], ...]
LayerPairs = tuple[tuple[tuple[str, str] | None, ...], ...]  # of the row's model, of the column's


@dataclass(frozen=True)
class StudyModel:
    """One model of a study.

    Attributes:
        name: how the request names it.
        modality: what it takes; None for a file of activations.
        parameters: how many weights it has; None for a file.
        fingerprint: sha256 of its weights and preprocessing, or of a file's arrays.
        pooling: how positions were pooled; None for a file.
        layers: the layers that were scored.
        capability: its capability, if the request says.
    """

    name: str
    modality: str | None
    parameters: int | None
    fingerprint: str
    pooling: str | None
    layers: tuple[str, ...]
    capability: float | None = None


@dataclass(frozen=True)
class Clusters:
    """Which models are alike.

    Attributes:
        order: the models, alike ones side by side.
        groups: the same in that order, cut into the groups that stand out; one group if none do.
        silhouette: how well they stand out, -1 to 1, of the cut with the greatest; None with fewer than three models.
        distance: what the order was made from: `1 - calibrated`, or `1 - score` where nothing was calibrated.
    """

    order: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...]
    silhouette: float | None
    distance: str


@dataclass(frozen=True)
class Trend:
    """Whether alignment rises with capability, as the hypothesis predicts.

    Attributes:
        rho: Spearman's rank correlation of capability and mean alignment.
        p_value: how often it is as great if capabilities are dealt out at random: one-sided.
        method: `exact` (every order was tried) or `permutation` (orders were drawn).
        orders: how many orders of the models the p-value comes from.
        alignment: what was averaged: `calibrated`, or `score` where nothing was calibrated.
        capability: each model's, in the order of the study's models.
        mean_alignment: each model's mean alignment to the others, likewise; None where no pair has a meaning.
    """

    rho: float
    p_value: float
    method: str
    orders: int
    alignment: str
    capability: tuple[float, ...]
    mean_alignment: tuple[float | None, ...]


@dataclass(frozen=True)
class MatrixResult:
    """One metric over all pairs of models: the row's model is side A, the column's B.

    A model is not measured against itself: the diagonals are None, as is what has no meaning. A symmetric metric is
    measured once a pair, as A the one that the request names first, and mirrored; another is measured both ways.

    Attributes:
        key: unique in a report: the name, and the parameters that are not at their default.
        name: the metric.
        params: all its parameters.
        range: the least and the greatest score.
        symmetric: whether the matrices are.
        matrix: the score of each pair's best pair of layers.
        null_mean: the mean best score of shuffled items; this and the next three None where nothing was calibrated.
        calibrated: 0 at what 95% of shuffled best scores stay at or below, 1 at the metric's upper bound.
        p_value: how often shuffled items score as high.
        q_value: Benjamini-Hochberg, over the pairs that were measured.
        interval: of each best score; None where none was made.
        best_layers: the pair of layers that the score is of.
        clusters: which models are alike.
        trend: against capability; None without it, or where it has no meaning, which a warning then says.
    """

    key: str
    name: str
    params: Mapping[str, Any]
    range: tuple[float, float]
    symmetric: bool
    matrix: Grid
    null_mean: Grid | None
    calibrated: Grid | None
    p_value: Grid | None
    q_value: Grid | None
    interval: Intervals | None
    best_layers: LayerPairs
    clusters: Clusters
    trend: Trend | None = None


@dataclass(frozen=True)
class KernelFit:
    """One model's layers against a reference kernel; what is not a list is of the best layer.

    Attributes:
        model: the model.
        layers: its layers.
        scores: each layer's score; None where it has no meaning.
        layer: the layer of the highest score; None if no layer has one.
        score: its score.
        null_mean: the mean best score of shuffled items; None where nothing was calibrated.
        null_threshold: what 95% of shuffled best scores stay at or below.
        calibrated: 0 at the threshold or below, 1 at the metric's upper bound.
        p_value: how often shuffled items score as high at their best layer.
        q_value: Benjamini-Hochberg, over the models.
    """

    model: str
    layers: tuple[str, ...]
    scores: tuple[float | None, ...]
    layer: str | None = None
    score: float | None = None
    null_mean: float | None = None
    null_threshold: float | None = None
    calibrated: float | None = None
    p_value: float | None = None
    q_value: float | None = None


@dataclass(frozen=True)
class KernelResult:
    """One metric of every model against the reference kernel.

    Attributes:
        key: as in `MatrixResult`.
        name: the metric.
        params: all its parameters.
        range: the least and the greatest score.
        models: one a model, in the study's order.
    """

    key: str
    name: str
    params: Mapping[str, Any]
    range: tuple[float, float]
    models: tuple[KernelFit, ...]


@dataclass(frozen=True)
class Prediction:
    """Models against a reference kernel.

    Attributes:
        kernel: where it comes from, and what was done to it.
        samples: how many items it was compared on.
        metrics: one result a metric.
    """

    kernel: Mapping[str, Any]
    samples: int
    metrics: tuple[KernelResult, ...]


@dataclass(frozen=True)
class StudyWarning:
    """Something that a reader of a study must know.

    Attributes:
        code: what, for programs.
        detail: what, for people.
        model: the model, where it is about one.
        layer: the layer, where it is about one.
    """

    code: str
    detail: str
    model: str | None = None
    layer: str | None = None


@dataclass(frozen=True)
class StudyReport:
    """All that a study found, and what is needed to get it again.

    Attributes:
        samples: how many items the models were compared on.
        models: the models, in the request's order, which is that of every matrix.
        metrics: one result a metric, in the order asked for.
        prediction: models against a reference kernel; None if there was none.
        warnings: what a reader must know.
        provenance: probe, request, seed, device, dtypes and versions.
    """

    samples: int
    models: tuple[StudyModel, ...]
    metrics: tuple[MatrixResult, ...]
    prediction: Prediction | None
    warnings: tuple[StudyWarning, ...]
    provenance: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Returns the report as the service's `result`: dicts, lists, numbers, text and None alone."""
        found: dict[str, Any] = plain(self)
        return found

    def metric(self, key: str) -> MatrixResult:
        """Returns the result of that key.

        Raises:
            KeyError: if the report has none.
        """
        return {result.key: result for result in self.metrics}[key]

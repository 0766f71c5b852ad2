"""Results: what a study has found, as OpenAPI tells it. The work writes it; nothing here reads it again."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

Matrix = list[list[float | None]]
_MATRIX = [[[None, 0.31], [0.31, None]]]
_MODELS = [["minilm", "efficientnet"]]


class StudyModel(BaseModel):
    """One model of a study."""

    name: str = Field(description="what the matrices call it", examples=["minilm"])
    modality: str | None = Field(description="what it takes; null for activations", examples=["text"])
    parameters: int | None = Field(description="how many weights it has; null for activations", examples=[22713216])
    fingerprint: str = Field(description="sha256 of its weights and preprocessing", examples=["9f86…"])
    pooling: str | None = Field(description="how positions were pooled; null for activations", examples=["mean"])
    layers: list[str] = Field(description="the layers that were scored", examples=[["embeddings", "layer.0"]])
    capability: float | None = Field(None, description="its capability, if the request says", examples=[0.71])


class Clusters(BaseModel):
    """Which models are alike."""

    order: list[str] = Field(description="the models, alike ones side by side", examples=_MODELS)
    groups: list[list[str]] = Field(
        description="the same, cut into the groups that stand out; one group if none do", examples=[_MODELS]
    )
    silhouette: float | None = Field(
        description="how well they stand out, -1 to 1; null with fewer than three models", examples=[0.4]
    )
    distance: str = Field(description="what the order was made from", examples=["1 - calibrated"])


class Trend(BaseModel):
    """Whether alignment rises with capability, as the hypothesis predicts."""

    rho: float = Field(description="Spearman's correlation of capability and mean alignment", examples=[0.8])
    p_value: float = Field(
        description="how often it is as great if capabilities are dealt out at random: one-sided", examples=[0.04]
    )
    method: Literal["exact", "permutation"] = Field(
        description="whether every order was tried, or some were drawn", examples=["exact"]
    )
    orders: int = Field(description="how many orders the p-value comes from", examples=[120])
    alignment: str = Field(description="what was averaged: `calibrated` or `score`", examples=["calibrated"])
    capability: list[float] = Field(description="each model's, in the models' order", examples=[[0.71, 0.44]])
    mean_alignment: list[float | None] = Field(
        description="each model's mean alignment to the others; null where no pair has a meaning",
        examples=[[0.3, 0.2]],
    )


class MatrixResult(BaseModel):
    """One metric over all pairs of models, in the request's order: rows are side A, columns B; the diagonal is null."""

    key: str = Field(description="unique in the result: the name, and what is not at its default", examples=["cka"])
    name: str = Field(description="the metric", examples=["cka"])
    params: dict[str, Any] = Field(description="all its parameters", examples=[{"kernel": "linear", "bandwidth": 1.0}])
    range: list[float] = Field(description="the least and the greatest score", examples=[[0, 1]])
    symmetric: bool = Field(description="whether the matrices are: each pair was measured once", examples=[True])
    matrix: Matrix = Field(description="the score of each pair's best pair of layers", examples=_MATRIX)
    null_mean: Matrix | None = Field(description="the mean best score of shuffled items", examples=_MATRIX)
    calibrated: Matrix | None = Field(
        description="0 at what 95% of shuffled best scores stay at or below, 1 at the upper bound", examples=_MATRIX
    )
    p_value: Matrix | None = Field(description="how often shuffled items score as high", examples=_MATRIX)
    q_value: Matrix | None = Field(description="Benjamini-Hochberg's, over the pairs measured", examples=_MATRIX)
    interval: list[list[list[float] | None]] | None = Field(
        description="where each best score lies; null where none was made", examples=[[[None, [0.29, 0.33]]]]
    )
    best_layers: list[list[list[str] | None]] = Field(
        description="the pair of layers that each score is of", examples=[[[None, ["layer.5", "blocks.3"]]]]
    )
    clusters: Clusters = Field(description="which models are alike")
    trend: Trend | None = Field(None, description="against capability; null without it, or where it has no meaning")


class KernelFit(BaseModel):
    """One model's layers against the reference kernel; what is no list is of the best layer."""

    model: str = Field(description="the model", examples=["minilm"])
    layers: list[str] = Field(description="its layers", examples=[["embeddings", "layer.0"]])
    scores: list[float | None] = Field(description="each layer's; null where it has no meaning", examples=[[0.1, 0.2]])
    layer: str | None = Field(description="the layer of the highest score", examples=["layer.0"])
    score: float | None = Field(description="its score", examples=[0.2])
    null_mean: float | None = Field(description="the mean best score of shuffled items", examples=[0.01])
    null_threshold: float | None = Field(
        description="what 95% of shuffled best scores stay at or below", examples=[0.02]
    )
    calibrated: float | None = Field(
        description="0 at the threshold or below, 1 at the metric's upper bound", examples=[0.18]
    )
    p_value: float | None = Field(description="how often shuffled items score as high", examples=[0.005])
    q_value: float | None = Field(description="Benjamini-Hochberg's, over the models", examples=[0.01])


class KernelResult(BaseModel):
    """One metric of every model against the reference kernel."""

    key: str = Field(description="unique among the metrics", examples=["unbiased_cka"])
    name: str = Field(description="the metric", examples=["unbiased_cka"])
    params: dict[str, Any] = Field(description="all its parameters", examples=[{"kernel": "linear", "bandwidth": 1.0}])
    range: list[float] = Field(description="the least and the greatest score", examples=[[-1, 1]])
    models: list[KernelFit] = Field(description="one a model, in the request's order")


class Prediction(BaseModel):
    """The models against a reference kernel."""

    kernel: dict[str, Any] = Field(
        description="where it comes from, and what was done to it", examples=[{"kind": "corpus", "window": 8}]
    )
    samples: int = Field(description="how many items it was compared on", examples=[900])
    metrics: list[KernelResult] = Field(description="one a metric")


class StudyWarning(BaseModel):
    """Something that a reader of the study must know."""

    code: str = Field(description="what, for programs", examples=["few_permutations"])
    detail: str = Field(description="what, for people", examples=["a pair that alone is alike cannot reach q = 0.05"])
    model: str | None = Field(None, description="the model, where it is about one", examples=["minilm"])
    layer: str | None = Field(None, description="the layer, where it is about one", examples=["layer.12"])


class StudyResult(BaseModel):
    """What a study has found."""

    samples: int = Field(description="how many items the models were compared on", examples=[1024])
    models: list[StudyModel] = Field(description="the models, in the request's order, which is every matrix's")
    metrics: list[MatrixResult] = Field(description="one a metric, in the order asked for")
    prediction: Prediction | None = Field(description="the models against a reference kernel; null if none was given")
    warnings: list[StudyWarning] = Field(description="what a reader must know")
    provenance: dict[str, Any] = Field(
        description="what is needed to get it again: models, probe set, versions, seed, and the request",
        examples=[{"probe_sha256": "9f86…", "seed": 0}],
    )


class MetricMatrix(MatrixResult):
    """One metric's matrices with the names of their rows and columns."""

    models: list[str] = Field(description="the models, the rows and the columns", examples=_MODELS)

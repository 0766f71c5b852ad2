"""Results: what a comparison has found, as OpenAPI tells it. The work writes it; nothing here reads it again."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

Grid = list[list[float | None]]
_GRID = [[[0.1, 0.2], [0.15, 0.31]]]


class Best(BaseModel):
    """The pair of layers of the highest score; its chance is that of the highest score of shuffled items."""

    layer_a: str = Field(description="the layer of A", examples=["layer.5"])
    layer_b: str = Field(description="the layer of B", examples=["layer.11"])
    score: float = Field(description="its score", examples=[0.31])
    interval: list[float] | None = Field(
        description="where the score lies, at the request's level; null where none was made", examples=[[0.29, 0.33]]
    )
    null_mean: float | None = Field(description="the mean highest score of shuffled items", examples=[0.01])
    null_threshold: float | None = Field(
        description="what 95% of the shuffled highest scores stay at or below", examples=[0.02]
    )
    calibrated: float | None = Field(
        description="0 at the threshold or below, 1 at the metric's upper bound", examples=[0.3]
    )
    p_value: float | None = Field(description="how often shuffled items score as high", examples=[0.005])


class MetricResult(BaseModel):
    """One metric over the layers: rows are A's, columns B's, null where a score has no meaning."""

    key: str = Field(
        description="unique in the result: the name, and what is not at its default", examples=["cka:kernel=rbf"]
    )
    name: str = Field(description="the metric", examples=["cka"])
    params: dict[str, Any] = Field(description="all its parameters", examples=[{"kernel": "rbf", "bandwidth": 1.0}])
    range: list[float] = Field(description="the least and the greatest score", examples=[[0, 1]])
    grid: Grid = Field(description="scores", examples=_GRID)
    null_mean_grid: Grid | None = Field(description="each cell's mean score of shuffled items", examples=_GRID)
    calibrated_grid: Grid | None = Field(
        description="each cell's score, 0 at its own chance's threshold and 1 at the upper bound", examples=_GRID
    )
    p_grid: Grid | None = Field(
        description="each cell's own p-value, not corrected for there being many", examples=[[[0.005, 0.01]]]
    )
    null_method: Literal["permutation", "pearson_iii"] | None = Field(
        description="what the cells' p-values are from; the best pair's is always from permutations",
        examples=["permutation"],
    )
    best: Best | None = Field(description="the best pair of layers; null if no cell has a meaning")


class Warning(BaseModel):
    """Something that a reader of the scores must know."""

    code: str = Field(description="what, for programs", examples=["massive_activation"])
    detail: str = Field(description="what, for people", examples=["one feature holds 98% of the layer's norm"])
    side: Literal["a", "b"] | None = Field(None, description="the side, where it is about one", examples=["b"])
    layer: str | None = Field(None, description="the layer, where it is about one", examples=["layer.12"])


class ComparisonResult(BaseModel):
    """What a comparison has found."""

    samples: int = Field(description="how many items were compared", examples=[1024])
    layers_a: list[str] = Field(description="A's layers, the grids' rows", examples=[["embeddings", "layer.0"]])
    layers_b: list[str] = Field(description="B's layers, the grids' columns", examples=[["stem", "blocks.0"]])
    metrics: list[MetricResult] = Field(description="one a metric, in the order asked for")
    warnings: list[Warning] = Field(description="what a reader of the scores must know")
    provenance: dict[str, Any] = Field(
        description="what is needed to get it again: models' fingerprints, the probe set's sha256, device, dtype, "
        "versions, seed, and the request with every default filled in",
        examples=[{"probe_sha256": "9f86…", "device": "cuda:0", "dtype": "float32", "seed": 0}],
    )


class MetricGrid(MetricResult):
    """One metric's grid with the names of its rows and columns."""

    layers_a: list[str] = Field(description="A's layers, the rows", examples=[["embeddings", "layer.0"]])
    layers_b: list[str] = Field(description="B's layers, the columns", examples=[["stem", "blocks.0"]])

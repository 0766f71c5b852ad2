"""Results: what a training has found, as OpenAPI tells it. The work writes it; nothing here reads it again."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

Grid = list[list[float | None]]
_GRID = [[[0.99999, 0.99998], [0.99999, 0.99999]]]


class ModelPair(BaseModel):
    """The two models, registered in the team that asked."""

    a: str = Field(description="A's id", examples=["mdl_01kb0000000000000000000000"])
    b: str = Field(description="B's id", examples=["mdl_01kb0000000000000000000001"])


class AlignmentPoint(BaseModel):
    """How alike the hidden layers were at one step."""

    step: int = Field(description="steps taken by each network", examples=[0])
    min: float | None = Field(description="the lowest alignment of two hidden layers", examples=[0.2])
    mean: float | None = Field(description="the mean over all pairs of them", examples=[0.3])
    calibrated: float | None = Field(
        description="the mean of the calibrated ones; null for `nka`", examples=[None, 0.1]
    )
    grid: Grid | None = Field(None, description="each pair's, A's hidden layers the rows", examples=_GRID)
    calibrated_grid: Grid | None = Field(
        None, description="the calibrated ones; null for `nka`", examples=[None, *_GRID]
    )


class PairAlignment(BaseModel):
    """How alike the hidden layers of both are; measures of some recipes alone stand beside it, absent from others."""

    measure: Literal["nka", "cka"] = Field(
        description="`nka`: the normalised kernel inner product that the theorem speaks of; `cka`: linear CKA",
        examples=["nka"],
    )
    min: float | None = Field(description="the lowest of a hidden layer of A with one of B", examples=[0.99999])
    mean: float | None = Field(description="the mean over these pairs", examples=[0.99999])
    layers_a: list[str] = Field(description="A's hidden layers, the rows", examples=[["hidden.1", "hidden.2"]])
    layers_b: list[str] = Field(description="B's, the columns", examples=[["hidden.1", "hidden.2"]])
    grid: Grid = Field(description="each pair's; null where it has no meaning", examples=_GRID)
    calibrated: Grid | None = Field(
        description="0 at what 95% of shuffled items stay at or below, 1 at the upper bound; null for `nka`",
        examples=[None, *_GRID],
    )
    outputs: float | None = Field(description="linear CKA of the outputs themselves", examples=[0.98])
    outputs_calibrated: float | None = Field(
        None, description="the same, 0 at chance; of `transformer` alone", examples=[None, 0.9]
    )
    cka_min: float | None = Field(
        None,
        description="the lowest linear CKA of a hidden layer of A with one of B; of `linear` alone",
        examples=[0.99],
    )
    cka_matched_depth: float | None = Field(
        None,
        description="the mean calibrated CKA of layers of the same depth; of `mlp` and `transformer`",
        examples=[None, 0.5],
    )
    mutual_knn: Grid | None = Field(
        None,
        description="mutual nearest neighbours of each pair; of `mlp` and `transformer`",
        examples=[None, [[0.3, 0.2]]],
    )
    mutual_knn_matched_depth: float | None = Field(
        None,
        description="the mean calibrated one of layers of the same depth; of `mlp` and `transformer`",
        examples=[None, 0.2],
    )
    history: list[AlignmentPoint] = Field(description="from the first step to the last")


class BalancePoint(BaseModel):
    """The balance residuals at one step."""

    step: int = Field(description="steps taken by each network", examples=[0])
    neuron: float | None = Field(description="of units", examples=[0.5])
    layer: float | None = Field(description="of layers", examples=[0.4])
    matrix: float | None = Field(description="of matrices", examples=[0.3])
    attention: float | None = Field(description="of attention's matrices", examples=[None, 0.3])


class PairBalance(BaseModel):
    """How far the worse network is from gradient balance; null where there is no such law."""

    neuron: float | None = Field(description="of units", examples=[0.01])
    layer: float | None = Field(description="of layers", examples=[0.002])
    matrix: float | None = Field(description="of matrices", examples=[0.0003])
    attention: float | None = Field(description="of attention's matrices", examples=[None, 0.002])
    history: list[BalancePoint] = Field(description="from the first step to the last")


class PairPrediction(BaseModel):
    """What theory says beside what was measured; of each number that of the network that is further off."""

    kernel_error: float | None = Field(
        description="1 - the lowest alignment of a hidden layer's kernel with the predicted one", examples=[1e-5]
    )
    entropy_ratio: float | None = Field(description="the gradients' square over the least", examples=[0.995])
    sharpness_ratio: float | None = Field(
        description="the Hessian's trace over that of the entropic minimum", examples=[0.997]
    )
    sharpness_vs_flattest: float | None = Field(description="over that of the flattest minimum", examples=[1.2])
    collapse: float | None = Field(
        description="the strength at which, to first order, the weakest mode of the target is gone", examples=[0.3]
    )
    a: dict[str, float | None] = Field(description="A's own", examples=[{"kernel_error": 1e-5}])
    b: dict[str, float | None] = Field(description="B's own", examples=[{"kernel_error": 1e-5}])


class Sharpness(BaseModel):
    """A network's Hessian."""

    trace: float | None = Field(description="its trace", examples=[12.5])
    largest: float | None = Field(description="its largest eigenvalue", examples=[3.1])


class Task(BaseModel):
    """How well a network does what it was trained for, on held-out items where the recipe has some."""

    loss: float | None = Field(description="its mean loss", examples=[0.1])
    accuracy: float | None = Field(description="the share classified right; null for numbers", examples=[0.97])


class LossPoint(BaseModel):
    """The losses at one step."""

    step: int = Field(description="steps taken by each network", examples=[0])
    a: float | None = Field(description="A's", examples=[0.5])
    b: float | None = Field(description="B's", examples=[0.5])


class Losses(BaseModel):
    """The losses over time."""

    history: list[LossPoint] = Field(description="from the first step to the last")


class TrainingNote(BaseModel):
    """Something that a reader of the numbers must know."""

    code: str = Field(description="what, for programs", examples=["rank_collapse"])
    detail: str = Field(description="what, for people", examples=["strength 0.5 is near or above 0.3, where …"])


class TrainingFound(BaseModel):
    """What a training has found."""

    models: ModelPair = Field(description="both models, as they are registered")
    probe: str | None = Field(
        description="the built-in probe set to compare them on; null if `GET /v1/trainings/{id}/probe` has one",
        examples=[None, "builtin:emoji"],
    )
    alignment: PairAlignment = Field(description="how alike they are")
    balance: PairBalance = Field(description="how far from gradient balance")
    prediction: PairPrediction | None = Field(description="beside the theory; null for what it does not cover")
    sharpness: dict[Literal["a", "b"], Sharpness] = Field(
        description="each network's", examples=[{"a": {"trace": 12.5, "largest": 3.1}}]
    )
    task: dict[Literal["a", "b"], Task] = Field(
        description="each network's", examples=[{"a": {"loss": 0.1, "accuracy": None}}]
    )
    loss: Losses = Field(description="over time")
    warnings: list[TrainingNote] = Field(description="what a reader must know")
    provenance: dict[str, Any] = Field(
        description="what is needed to get it again: the request with every default filled in, versions, device, dtype",
        examples=[{"request": {"recipe": "linear", "seed": 0}, "device": "cpu", "dtype": "float64"}],
    )

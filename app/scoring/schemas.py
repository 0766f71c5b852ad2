"""Schemas: what a comparison and a study both say: what is measured, on how many items, by which seed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from app.scoring.forms import INTEGERS, Metric, Metrics, Part, Text

Dtype = Literal["auto", "float32", "bfloat16", "float16", "float64"]


class Preprocess(Part):
    """What is done to a layer's activations before anything is measured."""

    clip: float | None = Field(
        0.95,
        gt=0,
        le=1,
        description="clamps a layer to plus or minus this quantile of its magnitudes; null leaves them",
        examples=[0.95],
    )
    normalize: bool = Field(True, description="scales each item's vector to length 1", examples=[True])


def _resamples(value: int) -> int:
    if 0 < value < 20:
        raise ValueError(f"resamples must be 0 or at least 20, not {value}: a quantile of fewer is none")
    return value


Resamples = Annotated[int, AfterValidator(_resamples), Field(ge=0, le=100_000)]


class Calibration(Part):
    """How a score is held against chance."""

    permutations: int = Field(
        200,
        ge=0,
        le=100_000,
        description="shuffles of the items that chance is read from; 0 turns it off",
        examples=[200],
    )
    resamples: Resamples = Field(
        200, description="draws that the interval is read from, at least 20; 0 turns it off", examples=[200]
    )
    level: float = Field(0.95, gt=0, lt=1, description="how often the interval is to hold the truth", examples=[0.95])


class Request(Part):
    """What a comparison and a study both say."""

    probe: Text = Field(description="the probe set's id or name", examples=["captions"])
    metrics: Metrics = Field(
        default_factory=lambda: [Metric(name="mutual_knn")],
        description='metrics: names, or names with parameters; `"all"` is every one with its defaults',
        examples=[["mutual_knn", {"name": "cka", "params": {"kernel": "rbf"}}]],
    )
    dtype: Dtype = Field(
        "auto",
        description="what the models compute in; `auto` is float32, on a GPU a half-precision checkpoint's own",
        examples=["auto"],
    )
    device: str = Field(
        "auto",
        max_length=12,
        pattern=r"^(auto|cpu|cuda(:\d{1,3})?)$",
        description="where it is computed: `auto`, `cpu`, `cuda` or `cuda:N`. A GPU is waited for if a worker "
        "of the last day had one; which of its GPUs it takes a worker decides",
        examples=["auto"],
    )
    preprocess: Preprocess = Field(
        default_factory=Preprocess,
        description="clipping and normalising",
        examples=[{"clip": 0.95, "normalize": True}],
    )
    samples: int = Field(
        1024,
        ge=1,
        description="items drawn of the probe set; more than it has takes all, and a warning says so",
        examples=[1024],
    )
    calibration: Calibration = Field(
        default_factory=Calibration,
        description="how a score is held against chance",
        examples=[{"permutations": 200, "resamples": 200, "level": 0.95}],
    )
    seed: int = Field(0, ge=0, lt=INTEGERS, description="what every random choice comes from", examples=[0])
    priority: int = Field(5, ge=1, le=10, description="among the jobs of the team, lower first", examples=[5])
    webhook_url: Annotated[str, Field(min_length=1, max_length=2000, pattern=r"^[^\x00-\x1f\x7f]+$")] | None = Field(
        None, description="where a signed POST goes when it ends", examples=["https://example.org/hooks/accord"]
    )

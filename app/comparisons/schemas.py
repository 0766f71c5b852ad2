"""Schemas: a comparison as it is asked for and as it is shown."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from app.api.jobs import Event
from app.comparisons.results import ComparisonResult
from app.scoring.forms import LAYER_CHOICE, POOLING, LayersOfSides, Or, PoolingOfSides, Text
from app.scoring.schemas import Request


class NewComparison(Request):
    """Two models, compared layer by layer on one probe set."""

    model_a: Text = Field(description="the one model's id or name", examples=["minilm"])
    model_b: Text = Field(description="the other's; it may be the same", examples=["efficientnet"])
    layers: Annotated[LayersOfSides, Or(LAYER_CHOICE)] = Field(
        default_factory=LayersOfSides,
        description='which layers are scored: `"all"`, `"last"`, or names and numbers for each side',
        examples=[{"a": ["layer.5", -1], "b": "all"}],
    )
    pooling: Annotated[PoolingOfSides, Or(POOLING)] = Field(
        default_factory=PoolingOfSides,
        description="how positions (tokens, patches) become one vector: one for both sides, or one a side",
        examples=[{"a": "mean", "b": "cls"}],
    )


class ComparisonItem(Event):
    """A comparison without its result."""

    request: NewComparison = Field(
        description="what was asked for, every default filled in",
        examples=[{"model_a": "minilm", "model_b": "efficientnet", "probe": "captions"}],
    )


class Comparison(ComparisonItem):
    """A comparison."""

    result: ComparisonResult | None = Field(description="what was found; null before it has succeeded")

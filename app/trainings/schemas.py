"""Schemas: a training as it is asked for and as it is shown."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from app.api.jobs import Event
from app.scoring.forms import INTEGERS, Part, Text

View = Literal["identity", "rotation", "projection", "noise", "modality"]


class NewTraining(Part):
    """Two networks, trained on two views of the same data."""

    recipe: Text = Field(description="which kind, as `GET /v1/trainings/recipes` lists them", examples=["linear"])
    data: Text = Field(description="a built-in data set, or a probe set with targets", examples=["builtin:teacher"])
    view_a: View = Field("identity", description="how the one network sees the data", examples=["identity"])
    view_b: View = Field("rotation", description="how the other does", examples=["rotation"])
    objective: Literal["plain", "entropic"] = Field(
        "entropic", description="the loss alone, or with the entropy of stochastic training", examples=["entropic"]
    )
    strength: float = Field(0.01, ge=0, le=1e6, description="of the entropic term: eta", examples=[0.01])
    weight_decay: float = Field(0.0, ge=0, le=1e6, description="of all weights", examples=[0.0])
    optimizer: Literal["sgd", "adam"] = Field("sgd", description="what takes the steps", examples=["sgd"])
    steps: int = Field(1000, ge=1, le=10_000_000, description="how many", examples=[1000])
    seed: int = Field(0, ge=0, lt=INTEGERS, description="what every random choice comes from", examples=[0])
    priority: int = Field(5, ge=1, le=10, description="among the jobs of the team, lower first", examples=[5])
    webhook_url: Annotated[str, Field(min_length=1, max_length=2000)] | None = Field(
        None, description="where a signed POST goes when it ends", examples=["https://example.org/hooks/accord"]
    )


class TrainingItem(Event):
    """A training without its result."""

    request: NewTraining = Field(
        description="what was asked for, every default filled in",
        examples=[{"recipe": "linear", "data": "builtin:teacher"}],
    )


class Training(TrainingItem):
    """A training."""

    result: dict[str, Any] | None = Field(
        description="both models, their alignment and balance over time, and the theory's values beside them; null "
        "before it has succeeded",
        examples=[{"models": {"a": "mdl_…", "b": "mdl_…"}}],
    )

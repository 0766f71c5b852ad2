"""Schemas: a training as it is asked for and as it is shown."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from alignment.entropic.recipes.request import EstimatorName, Labels, Objective, Optimizer, TaskName
from app.api.jobs import Event
from app.scoring.forms import INTEGERS, Part, Text
from app.trainings.results import TrainingFound

_OWN = "null is the recipe's own"


class NewTraining(Part):
    """Two networks, trained on two views of the same data."""

    recipe: Text = Field(description="which kind, as `GET /v1/trainings/recipes` lists them", examples=["linear"])
    data: Text | None = Field(
        None,
        description="a data set of the recipe's (`builtin:digits`), or the id or name of a probe set of vectors with "
        f"targets; {_OWN}",
        examples=["builtin:factorial"],
    )
    view_a: Text | None = Field(None, description=f"how A sees the data; {_OWN}", examples=["linear"])
    view_b: Text | None = Field(None, description=f"how B sees them; {_OWN}", examples=["rotation:45"])
    objective: Objective = Field(
        "entropic", description="the loss alone, or with the entropy of stochastic training", examples=["entropic"]
    )
    strength: float | None = Field(
        None, gt=0, le=1e6, description=f"of the entropy: eta; {_OWN}, and `plain` has none", examples=[0.001]
    )
    weight_decay: float | None = Field(
        None, ge=0, le=1e6, description=f"of all weights: gamma of gamma |weights|²; {_OWN}", examples=[0.0]
    )
    optimizer: Optimizer = Field(
        "auto", description="what takes the steps; `auto` is the recipe's own", examples=["lbfgs"]
    )
    steps: int | None = Field(None, ge=1, lt=INTEGERS, description=f"of each network; {_OWN}", examples=[1000])
    seed: int = Field(0, ge=0, lt=INTEGERS, description="what every random choice comes from", examples=[0])
    labels: Labels | None = Field(
        None,
        description="the entropy's targets: `true`, or `sampled` from the model's own answer, which makes it a trace "
        f"of the Fisher information; {_OWN}",
        examples=["true"],
    )
    estimator: EstimatorName | None = Field(
        None,
        description="how the entropy's gradient is found: `ghost_norm` is of single rows, `finite_difference` of the "
        f"batches that training takes; {_OWN}, and `plain` has none",
        examples=["ghost_norm"],
    )
    task: TaskName | None = Field(
        None,
        description="what is learnt: `numbers` to fit, each item's `category`, or what is `masked` of it; null is the "
        "recipe's own, or what the data say",
        examples=["numbers"],
    )
    priority: int = Field(5, ge=1, le=10, description="among the jobs of the team, lower first", examples=[5])
    webhook_url: Annotated[str, Field(min_length=1, max_length=2000, pattern=r"^[^\x00-\x1f\x7f]+$")] | None = Field(
        None, description="where a signed POST goes when it ends", examples=["https://example.org/hooks/accord"]
    )


class TrainingItem(Event):
    """A training without its result."""

    id: str = Field(description="the training", examples=["trn_01jdfq5n0v8m3k7r2x9yzw4abc"])
    request: NewTraining = Field(
        description="what was asked for, every default filled in",
        examples=[{"recipe": "linear", "data": "builtin:factorial"}],
    )


class Training(TrainingItem):
    """A training."""

    result: TrainingFound | None = Field(description="what was found; null before it has succeeded")

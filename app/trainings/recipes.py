"""Recipes: the kinds of training that can be asked for, as the science's own table has them."""

from __future__ import annotations

from functools import cache

from pydantic import BaseModel, Field

from alignment.entropic.recipes import OBJECTIVES, RECIPES, TrainingRequest
from alignment.entropic.recipes.request import EstimatorName, Labels, Objective, Optimizer, TaskName
from alignment.errors import UnknownNameError
from app.problems import invalid

BUILTIN = "builtin:"


class Defaults(BaseModel):
    """What a recipe takes where a request says nothing."""

    data: str = Field(description="the data set", examples=["builtin:factorial"])
    view_a: str = Field(description="how A sees it", examples=["linear"])
    view_b: str = Field(description="how B sees it", examples=["linear"])
    strength: float | None = Field(description="of the entropy; null where there is none", examples=[0.001])
    weight_decay: float = Field(description="of all weights", examples=[0.0])
    optimizer: Optimizer = Field(description="what takes the steps", examples=["lbfgs"])
    steps: int = Field(description="of each network", examples=[1000])
    labels: Labels = Field(description="the entropy's targets", examples=["true"])
    estimator: EstimatorName | None = Field(
        description="how the entropy's gradient is found; null where there is none", examples=["ghost_norm"]
    )
    task: TaskName = Field(description="what is learnt", examples=["numbers"])


class RecipeItem(BaseModel):
    """A kind of training."""

    name: str = Field(description="what a request calls it", examples=["linear"])
    title: str = Field(description="its name in a sentence", examples=["deep linear networks"])
    summary: str = Field(description="what it trains, on what", examples=["Two deep linear networks …"])
    evidence: str = Field(
        description="what was measured of it, the disappointing too",
        examples=["Entropic training aligns every two hidden layers …"],
    )
    defaults: dict[Objective, Defaults] = Field(
        description="by objective, what it takes where a request says nothing; of another data set than the first "
        "some differ, and the request that is shown has them filled in",
        examples=[{"entropic": {"data": "builtin:factorial", "optimizer": "lbfgs", "steps": 1000}}],
    )
    data: list[str] = Field(
        description="its own data sets, the default first", examples=[["builtin:teacher", "builtin:digits"]]
    )
    probe_sets: bool = Field(
        description="whether it learns from a probe set of the team's, too: vectors (`x`, or `a` and `b`) with targets "
        "(`y [items, width]` numbers, or `target [items]`: whole numbers and labels are classes)",
        examples=[True],
    )
    views: list[str] = Field(
        description="the views that it can take; `rotation:45` and `noise:0.2` have a number",
        examples=[["identity", "rotation"]],
    )
    optimizers: list[Optimizer] = Field(description="those that it can take", examples=[["lbfgs", "gd", "sgd"]])
    labels: list[Labels] = Field(
        description="what the entropy's targets can be: `true`, or `sampled` from the model's own answer, which makes "
        "it a trace of the Fisher information",
        examples=[["true", "sampled"]],
    )
    estimators: list[EstimatorName] = Field(
        description="the ways to the entropy's gradient that it can take: `ghost_norm` is of single rows, "
        "`finite_difference` of the batches that training takes",
        examples=[["ghost_norm", "finite_difference"]],
    )
    tasks: list[TaskName] = Field(
        description="what its networks can learn: `numbers` to fit, each item's `category`, or what is `masked` of it; "
        "of `numbers` and `category` the data decide",
        examples=[["category", "masked"]],
    )


@cache
def catalogue() -> tuple[RecipeItem, ...]:
    """Returns all recipes; the first time it takes a moment, for the defaults are asked of the recipes themselves."""
    return tuple(_item(name) for name in RECIPES)


def _item(name: str) -> RecipeItem:
    facts = RECIPES[name].facts
    filled = {o: RECIPES[name].of(TrainingRequest(recipe=name, objective=o)).request for o in OBJECTIVES}
    defaults = {
        o: Defaults.model_validate({**request.to_dict(), "data": f"{BUILTIN}{request.data}"})
        for o, request in filled.items()
    }
    return RecipeItem(
        name=name,
        title=facts.title,
        summary=facts.summary,
        evidence=facts.evidence,
        defaults=defaults,
        data=[f"{BUILTIN}{data}" for data in facts.data],
        probe_sets=facts.rows,
        views=list(facts.views),
        optimizers=list(facts.optimizers),
        labels=list(facts.labels),
        estimators=list(facts.estimators),
        tasks=list(facts.tasks),
    )


def require(name: str) -> None:
    """Refuses a recipe that there is not.

    Raises:
        Problem: 422.
    """
    if name not in RECIPES:
        raise invalid("/recipe", str(UnknownNameError("recipe", name, RECIPES)))

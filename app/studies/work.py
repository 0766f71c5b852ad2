"""study(): the work of a study: waits for every model's activations, then measures each pair."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from alignment.errors import ProbeError
from alignment.study import conclude
from alignment.study.reference import ReferenceKernel, read_reference
from alignment.study.reference.scores import least_items
from app.jobs import Context, Done, Needs
from app.jobs.handler import FIGURES
from app.scoring.asked import items_of
from app.scoring.extraction import Opening, obtain, open_request
from app.scoring.hiding import hide_file
from app.scoring.stages import Stages
from app.studies.kernels import kernel_source


def study(payload: Mapping[str, Any], context: Context) -> Done | Needs:
    """Returns the study's result, or the extractions that it waits for.

    The numbers are those of `alignment.study.study` for the same request.

    Raises:
        RequestError: if it cannot be done as asked.
    """
    stages = Stages(context)
    opening = open_request(payload, context)
    _require_one_view(opening)
    reference = _reference(payload, opening, context)
    answers = obtain(opening, payload, context, stages, by_side=False)
    if isinstance(answers, Needs):
        return answers
    models = payload["models"]
    names, capability = names_of(models), payload["capability"]
    report = conclude(
        names,
        [answer.activations for answer in answers],
        opening.draw,
        opening.scoring,
        samples=payload["samples"],
        capability=None if capability is None else by_name(capability, models, names),
        reference=reference,
        provenance={
            "probe": opening.probe,
            "models": {name: answer.facts for name, answer in zip(names, answers, strict=True)},
            "dtype": {name: answer.facts["dtype"] for name, answer in zip(names, answers, strict=True)},
            "request": payload["request"],
        },
        progress=stages.progress,
    )
    stages.progress("store", 0, 1)
    rows = {answer.facts["id"]: answer.model for answer in answers}
    return Done({**report.to_dict(), FIGURES: {**stages.figures(), "models": rows}})


def names_of(models: list[Mapping[str, Any]]) -> list[str]:
    """Returns what the result calls the models: their names, with the id where two (one of them shared) have one.

    >>> names_of([{"id": "mdl_1", "name": "x"}, {"id": "mdl_2", "name": "x"}, {"id": "mdl_3", "name": "y"}])
    ['x (mdl_1)', 'x (mdl_2)', 'y']
    """
    count = Counter(side["name"] for side in models)
    return [side["name"] if count[side["name"]] == 1 else f"{side['name']} ({side['id']})" for side in models]


def by_name(capability: Mapping[str, float], models: list[Mapping[str, Any]], names: list[str]) -> dict[str, float]:
    """Returns each model's capability by what the result calls it, given by id or by name."""
    found = {}
    for side, name in zip(models, names, strict=True):
        found[name] = capability[side["id"]] if side["id"] in capability else capability[side["name"]]
    return found


def _require_one_view(opening: Opening) -> None:
    """Refuses vectors that are one side's of a comparison, unless no model is to answer them."""
    draw = opening.draw
    models = any(not side["reference"].startswith("features:") for side in opening.sides.values())
    if draw.kind == "array" and "x" not in draw.views and models:
        raise ProbeError(
            f"probe set {draw.name!r} has vectors 'a' and 'b', one a side of a comparison; a study has no sides and "
            "needs them as 'x'"
        )


def _reference(payload: Mapping[str, Any], opening: Opening, context: Context) -> ReferenceKernel | None:
    asked = payload["reference"]
    if asked is None:
        return None
    items = items_of(payload, payload["probe"]["name"], context.settings)
    hide_file(context, asked["path"], asked["name"])
    found = read_reference(kernel_source(asked), items.whole, items.drawn, least_items(opening.scoring.metrics))
    found.facts.update(kind=asked["kind"], path=asked["name"])
    return found

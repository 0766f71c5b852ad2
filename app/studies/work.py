"""study(): the work of a study: waits for every model's activations, then measures each pair."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from alignment.errors import ProbeError
from alignment.study import KernelSource, conclude
from alignment.study.reference import ReferenceKernel, read_reference
from alignment.study.reference.scores import least_items
from app.jobs import Context, Done, Needs
from app.jobs.handler import FIGURES
from app.scoring.extraction import Obtained, obtain, sides_of
from app.scoring.hiding import hide_file
from app.scoring.stages import Stages


def study(payload: Mapping[str, Any], context: Context) -> Done | Needs:
    """Returns the study's result, or the extractions that it waits for.

    The numbers are those of `alignment.study.study` for the same request.

    Raises:
        RequestError: if it cannot be done as asked.
    """
    stages = Stages(context)
    models = payload["models"]
    sides = list(sides_of(payload).items())
    had = obtain(sides, payload, context, stages, by_side=False)
    if isinstance(had, Needs):
        return had
    _require_one_view(had)
    names = names_of(models)
    capability = payload["capability"]
    report = conclude(
        names,
        had.activations,
        had.items,
        had.scoring,
        samples=payload["samples"],
        capability=None if capability is None else by_name(capability, models, names),
        reference=_reference(payload, had, context),
        provenance={
            "models": {name: answer.facts for name, answer in zip(names, had.answers, strict=True)},
            "dtype": {name: answer.facts["dtype"] for name, answer in zip(names, had.answers, strict=True)},
            "request": payload["request"],
        },
        progress=stages.progress,
    )
    stages.progress("store", 0, 1)
    rows = {side["id"]: answer.model for side, answer in zip(models, had.answers, strict=True)}
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


def _require_one_view(had: Obtained) -> None:
    vectors = had.items.drawn.vectors
    if "x" not in vectors and any(answer.facts["modality"] == "array" for answer in had.answers):
        raise ProbeError(
            f"probe set {had.items.drawn.name!r} has vectors 'a' and 'b', one a side of a comparison; a study has no "
            "sides and needs them as 'x'"
        )


def _reference(payload: Mapping[str, Any], had: Obtained, context: Context) -> ReferenceKernel | None:
    asked, items = payload["reference"], had.items
    if asked is None:
        return None
    hide_file(context, asked["path"], asked["name"])
    source = KernelSource(**{name: asked[name] for name in ("kind", "path", "window", "smoothing") if name in asked})
    found = read_reference(source, items.whole, items.drawn, least_items(had.scoring.metrics))
    found.facts["path"] = asked["name"]
    return found

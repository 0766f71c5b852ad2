"""compare(): the work of a comparison: waits for both sides' activations, then measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from alignment.comparison import measure
from app.jobs import Context, Done, Needs
from app.jobs.handler import FIGURES
from app.scoring.extraction import obtain, sides_of
from app.scoring.stages import Stages


def compare(payload: Mapping[str, Any], context: Context) -> Done | Needs:
    """Returns the comparison's result, or the extractions that it waits for.

    The numbers are those of `alignment.comparison.compare` for the same request.

    Raises:
        RequestError: if it cannot be done as asked.
    """
    stages = Stages(context)
    sides = list(sides_of(payload).items())
    had = obtain(sides, payload, context, stages)
    if isinstance(had, Needs):
        return had
    dtypes = dict.fromkeys(str(answer.facts["dtype"]) for answer in had.answers if answer.facts["dtype"])
    provenance = {
        **had.provenance,
        "model_a": had.answers[0].facts,
        "model_b": had.answers[1].facts,
        "dtype": "/".join(dtypes) or None,
        "request": payload["request"],
    }
    a, b = had.activations
    report = measure(a, b, had.scoring, provenance, stages.progress)
    report = replace(report, warnings=had.items.warnings(payload["samples"]) + report.warnings)
    stages.progress("store", 0, 1)
    models = {side["id"]: answer.model for (_, side), answer in zip(sides, had.answers, strict=True)}
    return Done({**report.to_dict(), FIGURES: {**stages.figures(), "models": models}})

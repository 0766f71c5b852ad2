"""compare(): the work of a comparison: waits for both sides' activations, then measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from alignment.comparison import fewer_samples, measure
from app.jobs import Context, Done, Needs
from app.jobs.handler import FIGURES
from app.scoring.extraction import obtain, open_request
from app.scoring.stages import Stages


def compare(payload: Mapping[str, Any], context: Context) -> Done | Needs:
    """Returns the comparison's result, or the extractions that it waits for.

    The numbers are those of `alignment.comparison.compare` for the same request.

    Raises:
        RequestError: if it cannot be done as asked.
    """
    stages = Stages(context)
    opening = open_request(payload, context)
    answers = obtain(opening, payload, context, stages)
    if isinstance(answers, Needs):
        return answers
    a, b = answers
    dtypes = dict.fromkeys(str(side.facts["dtype"]) for side in (a, b) if side.facts["dtype"])
    provenance = {
        **opening.provenance,
        "model_a": a.facts,
        "model_b": b.facts,
        "dtype": "/".join(dtypes) or None,
        "request": payload["request"],
    }
    report = measure(a.activations, b.activations, opening.scoring, provenance, stages.progress)
    report = replace(report, warnings=fewer_samples(payload["samples"], opening.draw.whole) + report.warnings)
    stages.progress("store", 0, 1)
    models = {side.facts["id"]: side.model for side in (a, b)}
    return Done({**report.to_dict(), FIGURES: {**stages.figures(), "models": models}})

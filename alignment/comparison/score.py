"""score(): from two sets of activations to a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment.activations import Activations, require_same_items
from alignment.calibration import (
    Calibration,
    against_chance,
    best_interval,
    few_permutations,
    maximum,
    null_scores,
    pearson_p,
)
from alignment.calibration.pearson import trusted
from alignment.comparison.request import Progress, Scoring, place
from alignment.errors import OverBudgetError
from alignment.metrics import METRICS, InfluencePairing, MetricChoice, without_score
from alignment.preprocessing import prepare_all
from alignment.report import AlignmentReport, Best, Grid, MetricResult, ReportWarning
from alignment.report.versions import versions
from alignment.views import Views, copies

_READ_BY = ("transformers", "tokenizers", "pillow")  # what the activations may come of, beside what computes


def silent(stage: str, done: int, total: int) -> None:
    """Reports no progress."""


def score(
    a: Activations, b: Activations, scoring: Scoring | None = None, *, progress: Progress = silent
) -> AlignmentReport:
    """Returns how alike two sets of activations of the same items are.

    Args:
        a: one side.
        b: the other; row i of both is the same item.
        scoring: how to compare; None takes the defaults.
        progress: called with the stage (`score`, `calibrate`), how much is done, of how much.

    Raises:
        RequestError: if the two do not hold the same items, or too few for what is asked (`metrics.shortage`).
    """
    scoring = scoring or Scoring()
    chosen = [side.select(layers) for side, layers in zip((a, b), scoring.layers, strict=True)]
    asked = {"a": a.origin.reference, "b": b.origin.reference, **scoring.to_dict()}
    return measure(chosen[0], chosen[1], scoring, {"request": asked}, progress)


def measure(
    a: Activations,
    b: Activations,
    scoring: Scoring,
    provenance: Mapping[str, Any],
    progress: Progress,
    made: tuple[Views, Views] | None = None,
) -> AlignmentReport:
    """Returns the report on two sets of activations that hold just the layers wanted.

    A metric that does not fit the budget, or that there are too few items for, is null, with a warning that says so.

    Args:
        a: one side.
        b: the other.
        scoring: how to compare.
        provenance: what is to be said of where they come from, beside what they say themselves.
        progress: called with the stage, how much is done, of how much.
        made: both sides' `make_views`, if they were made already.

    Raises:
        RequestError: if the two do not hold the same items, or too few for what is asked.
    """
    require_same_items(a, b)
    scoring.require_items(len(a))
    device = place(scoring.device)
    progress("score", 0, len(scoring.metrics))
    views = list(made or (make_views(a, scoring), make_views(b, scoring)))
    found: list[tuple[MetricResult, ReportWarning | None]] = []
    warnings = _findings("a", a, views[0]) + _findings("b", b, views[1])
    banded = scoring.calibration.resamples and any(choice.metric.interval for choice in scoring.metrics)
    same = copies([*views[0].layers, *views[1].layers]) if banded else None
    for done, choice in enumerate(scoring.metrics, start=1):
        found.append(_measure_or_tell(choice, a, b, views, same, scoring, progress))
        progress("score", done, len(scoring.metrics))
        if made is None and not any(c.metric.family == choice.metric.family for c in scoring.metrics[done:]):
            for side in views:
                side.forget()
    results = [result for result, _ in found]
    warnings += [reason for _, reason in found if reason is not None]
    warnings += _undefined([result for result, reason in found if reason is None], views)
    warnings += _unmade(results, scoring.calibration)
    made_by = {"model_a": a.origin, "model_b": b.origin, "device": str(device), "dtype": None}
    made_by |= {"versions": versions(*_READ_BY), "seed": scoring.seed}
    made_by["limits"] = {"budget_bytes": scoring.budget, "operations": scoring.calibration.operations}
    return AlignmentReport(len(a), a.layers, b.layers, tuple(results), tuple(warnings), {**made_by, **provenance})


def make_views(side: Activations, scoring: Scoring) -> Views:
    """Returns a side's layers, preprocessed and on the device that scores them."""
    device = place(scoring.device)
    layers = prepare_all([value.to(device) for value in side.values], scoring.preprocess)
    return Views(layers, budget=scoring.budget)


def _measure_or_tell(
    choice: MetricChoice,
    a: Activations,
    b: Activations,
    views: list[Views],
    same: Int[Tensor, " n"] | None,
    scoring: Scoring,
    progress: Progress,
) -> tuple[MetricResult, ReportWarning | None]:
    """Returns a metric's result, or one that is null and the reason, which takes no other metric's scores away."""
    nothing = _result(choice, torch.full((len(a.layers), len(b.layers)), torch.nan))
    if len(a) < choice.least_items:
        return nothing, ReportWarning("too_few_items", without_score(choice, len(a)))
    try:
        return _measure_one(choice, a, b, views, same, scoring, progress), None
    except OverBudgetError as error:
        return nothing, ReportWarning("over_budget", f"{choice.key}: {error}")


def _measure_one(
    choice: MetricChoice,
    a: Activations,
    b: Activations,
    views: list[Views],
    same: Int[Tensor, " n"] | None,
    scoring: Scoring,
    progress: Progress,
) -> MetricResult:
    metric, count = choice.metric, scoring.calibration.permutations
    pairing = metric.pair(views[0], views[1], choice.values)
    usable = torch.outer(views[0].usable, views[1].usable)
    observed = pairing.observed().masked_fill(~usable, torch.nan)
    result = _result(choice, observed)
    if observed.isnan().all():
        return result
    row, column = divmod(int(observed.nan_to_num(nan=-torch.inf).argmax()), len(b.layers))
    top = observed[row, column]
    best = Best(a.layers[row], b.layers[column], float(top))
    calibration = scoring.calibration
    if calibration.resamples and isinstance(pairing, InfluencePairing) and metric.interval:
        best = replace(
            best,
            interval=best_interval(
                pairing,
                observed,
                len(a),
                draws=calibration.resamples,
                level=calibration.level,
                seed=scoring.seed,
                bounds=metric.range,
                copies=same,
            ),
        )
    result = replace(result, best=best)
    held = 4 * 8 * count * observed.numel()  # the nulls of all cells, and what sorting them takes
    if not count or pairing.operations * count > calibration.operations or held > 4 * scoring.budget:
        return result
    null = null_scores(pairing, len(a), count, seed=scoring.seed, device=top.device, progress=progress)
    null = null.masked_fill(observed.isnan(), torch.nan)
    cells, peak = against_chance(observed, null, metric), against_chance(top, maximum(null), metric)
    mean, p, method = pairing.null_mean(), cells.p, "permutation"
    moments = pairing.null_moments()
    if moments is not None and bool((trusted(moments) | observed.isnan()).all()):
        p, method = pearson_p(observed, moments), "pearson_iii"
    return replace(
        result,
        null_mean_grid=_grid(cells.mean if mean is None else mean.masked_fill(observed.isnan(), torch.nan)),
        calibrated_grid=_grid(cells.calibrated),
        p_grid=_grid(p),
        null_method=method,
        best=replace(
            best,
            null_mean=float(peak.mean),
            null_threshold=float(peak.threshold),
            calibrated=float(peak.calibrated),
            p_value=float(peak.p),
        ),
    )


def _result(choice: MetricChoice, observed: Float[Tensor, "a b"]) -> MetricResult:
    metric = choice.metric
    return MetricResult(choice.key, metric.name, dict(choice.values), metric.range, _grid(observed))


def _unmade(results: list[MetricResult], calibration: Calibration) -> list[ReportWarning]:
    """Returns a warning for each part of the calibration that was asked for and is not there, with the reason."""
    scored = [result for result in results if result.best is not None]
    without_null = [r.key for r in scored if calibration.permutations and r.null_method is None]
    bare = [r for r in scored if calibration.resamples and r.best is not None and r.best.interval is None]
    few = [r.key for r in bare if METRICS[r.name].interval]
    never = [r.key for r in bare if not METRICS[r.name].interval]
    warnings = []
    if few_permutations(calibration.permutations) and len(without_null) < len(scored):
        detail = (
            f"with {calibration.permutations} permutations the threshold is the largest of all scores, the observed "
            "one among them, so that none is calibrated above 0; ask for 19 or more"
        )
        warnings.append(ReportWarning("few_permutations", detail))
    if without_null:
        detail = (
            f"no null for {', '.join(without_null)}: {calibration.permutations} permutations would take more than "
            f"{calibration.operations:.0e} operations, or more memory than the budget; "
            "ask for fewer permutations, layers or samples"
        )
        warnings.append(ReportWarning("calibration_budget", detail))
    if few:
        why = "it takes 30 items or more that differ"
        warnings.append(ReportWarning("no_interval", f"no interval for {', '.join(few)}: {why}"))
    if never:
        why = "only metrics whose intervals were seen to cover in simulation have one"
        warnings.append(ReportWarning("no_interval", f"no interval for {', '.join(never)}: {why}"))
    return warnings


def _grid(values: Float[Tensor, "a b"]) -> Grid:
    return tuple(tuple(None if value != value else value for value in row) for row in values.tolist())  # NaN != NaN


def _findings(side: str, activations: Activations, views: Views) -> list[ReportWarning]:
    return [
        ReportWarning(finding.code, finding.detail, side, layer)
        for layer, findings in zip(activations.layers, views.findings(), strict=True)
        for finding in findings
    ]


def _undefined(results: list[MetricResult], views: list[Views]) -> list[ReportWarning]:
    """Returns a warning for each metric with cells that have no meaning for a reason of its own."""
    explained = (~torch.outer(views[0].usable, views[1].usable)).tolist()
    warnings = []
    for result in results:
        count = sum(
            value is None and not known
            for row, reasons in zip(result.grid, explained, strict=True)
            for value, known in zip(row, reasons, strict=True)
        )
        if count:
            reason = METRICS[result.name].undefined or "its definition divides by zero there"
            detail = f"{result.key} has no meaning in {count} cells: {reason}"
            warnings.append(ReportWarning("undefined_score", detail))
    return warnings

"""study(): from N models' names and a probe set's to a report on every pair of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from alignment.activations import Activations
from alignment.comparison import Items, Scoring, fewer_samples
from alignment.comparison.request import Progress
from alignment.comparison.score import silent
from alignment.hub import Datasets
from alignment.metrics import without_score
from alignment.models import Hub
from alignment.probes import Draw
from alignment.report.study import MatrixResult, StudyModel, StudyReport, StudyWarning
from alignment.study.matrices import matrix_of
from alignment.study.models import Models
from alignment.study.pairs import measure_pairs
from alignment.study.reference import ReferenceKernel, predict, read_reference
from alignment.study.reference.scores import chosen, least_items
from alignment.study.request import ROOM, Study
from alignment.study.shelf import Shelf
from alignment.study.trend import find_trend, mean_alignment

_ALPHA = 0.05  # what a warning takes for a finding
_INDEFINITE = 0.01  # a share of negative eigenvalues that a reader must know of


def study(
    request: Study,
    *,
    cache: Path | None = None,
    hub: Hub | None = None,
    datasets: Datasets | None = None,
    progress: Progress = silent,
) -> StudyReport:
    """Returns how alike each two of N models represent a probe set, which are alike, and what that goes with.

    Args:
        request: what to study.
        cache: a folder for converted weights; None keeps none.
        hub: where hub models come from; None is Hugging Face's.
        datasets: where data sets of the hub come from; None is Hugging Face's.
        progress: called with the stage (`extract`, `score`, `predict`), how much is done, of how much.

    Raises:
        RequestError: if it cannot be done as asked; nothing was started.
        WorkError: if it was started and could not be finished.
    """
    scoring, names = request.scoring, request.models
    items = Items.of(request.asked(names[0]), datasets)
    scoring.require_items(len(items.drawn))
    reference = None
    if request.reference is not None:
        reference = read_reference(request.reference, items.whole, items.drawn, least_items(scoring.metrics))
    models = Models(request, items, cache, hub)
    answers = models.answers(progress)
    return conclude(
        names,
        answers,
        Draw.of(items.whole, items.drawn),
        scoring,
        samples=request.samples,
        capability=request.capability,
        reference=reference,
        room=request.room,
        provenance={"dtype": models.dtypes, "request": request.to_dict()},
        progress=progress,
    )


def conclude(
    names: Sequence[str],
    answers: Sequence[Activations],
    draw: Draw,
    scoring: Scoring,
    *,
    samples: int,
    capability: Mapping[str, float] | None = None,
    reference: ReferenceKernel | None = None,
    room: int = ROOM,
    provenance: Mapping[str, Any],
    progress: Progress = silent,
) -> StudyReport:
    """Returns the report on N models whose activations are there.

    Args:
        names: what the report calls the models, each another.
        answers: their activations of the items drawn, just the layers wanted.
        draw: the items.
        scoring: how two models are compared.
        samples: how many items were asked for.
        capability: a number a model, by its name.
        reference: a kernel that every layer is held against.
        room: bytes that the views of all models may take together.
        provenance: what is to be said of where they come from, beside what they say themselves.
        progress: called with the stage (`score`, `predict`), how much is done, of how much.

    Raises:
        RequestError: if they do not hold the same items, or too few for what is asked.
    """
    shelf = Shelf(answers, scoring, room)
    pairs = measure_pairs(names, answers, scoring, shelf, progress)
    results = [matrix_of(choice, names, pairs.best[choice.key]) for choice in scoring.metrics]
    warnings = [StudyWarning(found.code, found.detail) for found in fewer_samples(samples, draw.whole)]
    warnings += [*pairs.warnings, *_coarse(len(names), scoring, results)]
    if capability is not None:
        results = [_with_trend(result, [capability[name] for name in names], scoring.seed) for result in results]
        warnings += _trendless(results)
    prediction = None
    if reference is not None:
        prediction = predict(names, answers, reference, shelf.of_items, scoring, progress)
        warnings += _of_kernel(reference, scoring, len(draw))
    return StudyReport(
        samples=len(draw),
        models=tuple(
            StudyModel(
                name,
                answer.origin.modality,
                answer.origin.parameters,
                answer.origin.fingerprint,
                answer.origin.pooling,
                answer.layers,
                None if capability is None else capability[name],
            )
            for name, answer in zip(names, answers, strict=True)
        ),
        metrics=tuple(results),
        prediction=prediction,
        warnings=tuple(warnings),
        provenance={
            "models": {name: answer.origin for name, answer in zip(names, answers, strict=True)},
            "probe": draw.name,
            "probe_sha256": draw.whole_sha256,
            "items_sha256": draw.sha256,
            **pairs.provenance,
            **provenance,
        },
    )


def _with_trend(result: MatrixResult, capability: list[float], seed: int) -> MatrixResult:
    used, what = (result.matrix, "score") if result.calibrated is None else (result.calibrated, "calibrated")
    return replace(result, trend=find_trend(capability, used, what, seed=seed))


def _trendless(results: list[MatrixResult]) -> list[StudyWarning]:
    warnings = []
    for result in results:
        if result.trend is None:
            means = mean_alignment(result.matrix if result.calibrated is None else result.calibrated)
            why = "a model has no pair with a meaning" if None in means else "all capabilities or all means are equal"
            warnings.append(StudyWarning("undefined_trend", f"{result.key} has no trend: {why}"))
    return warnings


def _coarse(models: int, scoring: Scoring, results: list[MatrixResult]) -> list[StudyWarning]:
    """Returns a warning if shuffles are too few for one pair alone to be found among all."""
    count = scoring.calibration.permutations
    pairs = models * (models - 1) // 2
    pairs *= 1 if all(result.symmetric for result in results if result.p_value is not None) else 2
    need = round(pairs / _ALPHA)
    if not count or count + 1 >= need:
        return []
    detail = (
        f"a pair that alone is alike cannot reach q = {_ALPHA} with {count} permutations, whose least p is "
        f"{1 / (count + 1):.2g}, among {pairs} pairs; take {need - 1} to be sure of it"
    )
    return [StudyWarning("few_permutations", detail)]


def _of_kernel(reference: ReferenceKernel, scoring: Scoring, drawn: int) -> list[StudyWarning]:
    used = len(reference.rows)
    warnings = [
        StudyWarning("too_few_items", f"against the kernel, {without_score(choice, used)}")
        for choice in chosen(scoring.metrics)
        if used < choice.least_items
    ]
    if used < drawn:
        detail = f"{drawn - used} of {drawn} items never occur together with any: the kernel is compared on {used}"
        warnings.append(StudyWarning("absent_items", detail))
    share = reference.facts["negative_share"]
    if isinstance(share, float) and share > _INDEFINITE:
        detail = (
            f"{share:.0%} of the centred kernel's spectrum is negative, which no model's kernel can follow; "
            "it is compared as it is"
        )
        warnings.append(StudyWarning("indefinite_kernel", detail))
    return warnings

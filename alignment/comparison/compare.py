"""compare(): from two models' names and a probe set's to a report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from alignment.activations import Activations
from alignment.comparison.request import Comparison, Extraction, Progress
from alignment.comparison.score import measure, silent
from alignment.comparison.source import Items, Source
from alignment.hub import Datasets
from alignment.models import Hub, HuggingFaceHub
from alignment.report import AlignmentReport


def compare(
    request: Comparison,
    *,
    cache: Path | None = None,
    hub: Hub | None = None,
    datasets: Datasets | None = None,
    progress: Progress = silent,
) -> AlignmentReport:
    """Returns how alike two models represent a probe set.

    Args:
        request: what to compare.
        cache: a folder for converted weights; None keeps none.
        hub: where hub models come from; None is Hugging Face's.
        datasets: where data sets of the hub come from; None is Hugging Face's.
        progress: called with the stage (`extract_a`, `extract_b`, `score`, `calibrate`), how much is done, of how much.

    Raises:
        RequestError: if it cannot be done as asked; nothing was started.
        WorkError: if it was started and could not be finished.
    """
    asked_a, asked_b = request.sides()
    items = Items.of(asked_a, datasets)
    request.scoring.require_items(len(items.drawn))
    a = Source.open(asked_a, items, cache, hub or HuggingFaceHub())
    b = Source.open(asked_b, items, cache, hub or HuggingFaceHub(), like=a)
    answers = [source.answer(items, progress) for source in (a, b)]
    made_from = {
        "probe": items.whole.name,
        "probe_sha256": items.whole.sha256,
        "items_sha256": items.drawn.sha256,
        "dtype": "/".join(dict.fromkeys(source.dtype for source in (a, b) if source.dtype)) or None,
        "request": request.to_dict(),
    }
    report = measure(answers[0], answers[1], request.scoring, made_from, progress)
    return replace(report, warnings=items.warnings(request.samples) + report.warnings)


def extract_model(
    request: Extraction,
    *,
    cache: Path | None = None,
    hub: Hub | None = None,
    datasets: Datasets | None = None,
    progress: Progress = silent,
) -> Activations:
    """Returns one model's activations on a probe set; arguments and errors as `compare`'s."""
    items = Items.of(request, datasets)
    return Source.open(request, items, cache, hub or HuggingFaceHub()).answer(items, progress)

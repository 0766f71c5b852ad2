"""measure_pairs(): every pair of models, by every metric."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from alignment.activations import Activations
from alignment.comparison import Scoring, measure
from alignment.metrics import without_score
from alignment.report import AlignmentReport, Best
from alignment.report.study import StudyWarning
from alignment.study.shelf import Shelf

Pair = tuple[int, int]  # the number of A's model, of B's


@dataclass(frozen=True)
class Pairs:
    """What was found of the pairs.

    Attributes:
        best: a metric's key to the best pair of layers of each pair of models that has one.
        warnings: what a reader must know, each once.
        provenance: device, versions and seed.
    """

    best: Mapping[str, Mapping[Pair, Best]]
    warnings: tuple[StudyWarning, ...]
    provenance: Mapping[str, Any]


def measure_pairs(
    names: Sequence[str],
    answers: Sequence[Activations],
    scoring: Scoring,
    shelf: Shelf,
    progress: Callable[[str, int, int], None],
) -> Pairs:
    """Returns the best pair of layers of each pair of models, as a comparison of the two finds it.

    Metrics that are not symmetric are measured both ways, the others once, and those that there are too few items for
    not at all: one warning says so for all pairs.

    Args:
        names: the models.
        answers: their activations, of the same items.
        scoring: how two are compared.
        shelf: their views.
        progress: called with the stage `score`, how many pairs are done, of how many; often within a pair too.

    Raises:
        RequestError: if they do not hold the same items, or too few for what is asked.
    """
    items = len(answers[0])
    scoring.require_items(items)
    fitting = tuple(choice for choice in scoring.metrics if items >= choice.least_items)
    best: dict[str, dict[Pair, Best]] = {choice.key: {} for choice in scoring.metrics}
    few = [choice for choice in scoring.metrics if choice not in fitting]
    warnings = {StudyWarning("too_few_items", without_score(choice, items)): None for choice in few}
    provenance: dict[str, Any] = {}
    one_way = tuple(choice for choice in fitting if not choice.metric.symmetric)
    total, done = len(names) * (len(names) - 1) // 2, 0
    progress("score", 0, total)
    for first, second in shelf.pairs():
        for a, b, metrics in ((first, second, fitting), (second, first, one_way)):
            if not metrics:
                continue
            report = measure(
                answers[a],
                answers[b],
                replace(scoring, metrics=metrics),
                {},
                lambda *_: progress("score", done, total),  # noqa: B023 - called before the next pair
                made=(shelf.views(a), shelf.views(b)),
            )
            for result in report.metrics:
                if result.best is not None:
                    best[result.key][a, b] = result.best
            warnings.update(dict.fromkeys(_warnings(report, names[a], names[b])))
            provenance = provenance or {key: report.provenance[key] for key in ("device", "versions", "seed")}
        done += 1
        progress("score", done, total)
    return Pairs(best, tuple(warnings), provenance)


def _warnings(report: AlignmentReport, a: str, b: str) -> list[StudyWarning]:
    side = {"a": a, "b": b}
    return [
        StudyWarning(found.code, found.detail, side[found.side], found.layer)
        if found.side in side
        else StudyWarning(found.code, f"{a} and {b}: {found.detail}")
        for found in report.warnings
    ]

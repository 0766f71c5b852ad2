"""run_pair(): two trainees side by side, measured and put down after each piece."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from alignment.entropic.training.keeper import Keeper
from alignment.entropic.training.point import AlignmentPoint
from alignment.entropic.training.trainee import Trainee

Progress = Callable[[str, int, int], None]  # stage, done, total


def silent(stage: str, done: int, total: int) -> None:
    """Reports no progress."""


def run_pair(
    pair: tuple[Trainee, Trainee],
    measure: Callable[[int], AlignmentPoint],
    request: Mapping[str, Any],
    keeper: Keeper | None = None,
    progress: Progress = silent,
) -> tuple[AlignmentPoint, ...]:
    """Trains both to the end, in place, and returns the points measured, the first before any step.

    Args:
        pair: A and B.
        measure: from the steps taken to a point.
        request: what the kept state must be of.
        keeper: where states are kept, and one may be waiting; None keeps none.
        progress: called with `train`, steps taken (the mean of both, between two points) and steps in all; what it
            raises stops the training.

    Raises:
        DivergenceError: if a loss is no longer a number.
        TrainingError: if the kept state is of another request.
    """
    kept = keeper.load(request) if keeper is not None else None
    if kept is None:
        history = [measure(0)]
    else:
        for trainee in pair:
            trainee.restore(kept[trainee.member])
        history = [AlignmentPoint.from_dict(point) for point in kept["history"]]
    total = max(trainee.total for trainee in pair)
    progress("train", history[-1].step, total)
    while not all(trainee.done for trainee in pair):
        for trainee in pair:
            trainee.advance(_telling(progress, sum(each.taken for each in pair), total))
        taken = max(trainee.taken for trainee in pair)
        history.append(measure(taken))
        if keeper is not None:
            state = {t.member: t.state() for t in pair}
            keeper.save(request, {**state, "history": [point.to_dict() for point in history]})
        progress("train", taken, total)
    return tuple(history)


def _telling(progress: Progress, before: int, total: int) -> Callable[[int], None]:
    """Returns what passes one network's steps on, given how many both had taken before."""
    return lambda steps: progress("train", (before + steps) // 2, total)

"""Does the entropy align nonlinear networks? Paired differences over fresh seeds, with a tuned weight decay beside it.

    .venv/bin/python -m tests.benchmarks.pairs                  # seeds 40 to 45, teacher and digits: about ten minutes
    .venv/bin/python -m tests.benchmarks.pairs --data digits --seeds 20 21 22 23 24 25 26 27
    .venv/bin/python -m tests.benchmarks.pairs --data emoji --jobs 2   # the recipe transformer: see `towers`

The decay of the baseline is tuned on seeds of its own (100, 101), once for the task's loss and once for CKA, as the
recipe's strengths were. The entropic objective is also tried with the decay that is best for the task. Scores are on
held-out items, calibrated against shuffled ones, the mean over layers of equal depth; intervals are paired, 95%, by
Student's t.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from alignment.entropic.recipes import RECIPES, TrainingRequest, train
from alignment.entropic.recipes.request import Objective
from tests.benchmarks import towers
from tests.benchmarks.paired import paired

SEEDS, TUNING = tuple(range(40, 46)), (100, 101)
DECAYS = (1e-4, 1e-3, 3e-3, 1e-2, 3e-2)


@dataclass(frozen=True)
class Outcome:
    """One pair's numbers: alignment of hidden layers by two measures, of outputs, and the mean held-out task."""

    cka: float
    neighbours: float
    outputs: float
    loss: float
    accuracy: float

    @classmethod
    def of(cls, request: TrainingRequest) -> Outcome:
        torch.set_num_threads(1)
        result = train(request)
        right = [member.accuracy for member in result.members if member.accuracy is not None]
        return cls(
            result.extra["cka_matched_depth"],
            result.extra["mutual_knn_matched_depth"],
            result.outputs,
            sum(member.loss for member in result.members) / 2,
            sum(right) / 2 if right else math.nan,
        )


@dataclass(frozen=True)
class Bench:
    """Where trainings run.

    Attributes:
        data: the data set, which names the recipe.
        pool: the processes.
    """

    data: str
    pool: ProcessPoolExecutor

    @property
    def recipe(self) -> str:
        return next(name for name, recipe in RECIPES.items() if self.data in recipe.facts.data)

    def outcomes(self, objective: Objective, decay: float, seeds: Sequence[int]) -> list[Outcome]:
        asked = (TrainingRequest(self.recipe, objective, weight_decay=decay, seed=s, data=self.data) for s in seeds)
        return list(self.pool.map(Outcome.of, asked))

    def tuned(self) -> tuple[float, float]:
        """The decay with the least held-out loss, and that with the most CKA, on the tuning seeds."""
        runs = {}
        for decay in DECAYS:
            made = self.outcomes("plain", decay, TUNING)
            runs[decay] = sum(o.loss for o in made) / len(made), sum(o.cka for o in made) / len(made)
        return min(runs, key=lambda d: runs[d][0]), max(runs, key=lambda d: runs[d][1])


def study(bench: Bench, seeds: Sequence[int], console: Console) -> None:
    """Prints one data set's table."""
    for_task, for_alignment = bench.tuned()
    asked = RECIPES[bench.recipe].of(TrainingRequest(bench.recipe, data=bench.data)).request
    own = asked.weight_decay or 0.0
    why: dict[float, list[str]] = {}
    for decay, reason in ((for_task, "best for the task"), (for_alignment, "best for CKA"), (own, "the entropic's")):
        why.setdefault(decay, []).append(reason)
    arms = {"plain": bench.outcomes("plain", 0.0, seeds)}
    for decay, reasons in why.items():
        if decay:
            arms[f"decay {decay:g}, {', '.join(reasons)}"] = bench.outcomes("plain", decay, seeds)
    entropic = {}
    for decay in dict.fromkeys((own, for_task)):
        entropic[f"entropic, decay {decay:g}"] = bench.outcomes("entropic", decay, seeds)
    table = Table(title=f"{bench.data}, η {asked.strength:g}, seeds {', '.join(map(str, seeds))}", title_justify="left")
    fields = ("cka", "neighbours", "outputs", "loss", "accuracy")
    for head in ("", "CKA", "mutual kNN", "outputs' CKA", "held-out loss", "accuracy"):
        table.add_column(head, no_wrap=True)

    def values(outcomes: list[Outcome], name: str) -> list[float]:
        return [getattr(outcome, name) for outcome in outcomes]

    def mean(found: list[float]) -> str:
        middle = sum(found) / len(found)
        return "" if math.isnan(middle) else f"{middle:.3f}"

    for name, outcomes in {**arms, **entropic}.items():
        table.add_row(name, *(mean(values(outcomes, f)) for f in fields))
    for title, made in entropic.items():
        table.add_section()
        table.add_row(f"{title}, minus")
        for name, outcomes in arms.items():
            gaps = (paired(values(made, f), values(outcomes, f)) for f in fields)
            table.add_row(f"  {name.partition(', ')[0]}", *gaps)
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=["teacher", "digits"])
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--task", choices=list(towers.SEEDS), default="category", help="of emoji")
    parser.add_argument("--tune", action="store_true", help="of emoji: all that was tried, on the tuning seeds")
    parser.add_argument("--kept", type=Path, help="of emoji: a file to go on from, if this is broken off")
    parser.add_argument("--jobs", type=int, default=1)
    asked = parser.parse_args()
    # New processes, not copies of this one: torch's threads do not survive a fork.
    with ProcessPoolExecutor(asked.jobs, multiprocessing.get_context("spawn")) as pool:
        for data in asked.data:
            if data == "emoji":
                usual = towers.TUNING if asked.tune else towers.SEEDS[asked.task]
                towers.study(pool, asked.task, asked.seeds or usual, tune=asked.tune, kept=asked.kept)
            else:
                study(Bench(data, pool), asked.seeds or SEEDS, Console(width=140))


if __name__ == "__main__":
    main()

"""Does the entropy bring a pretrained model nearer another? MiniLM-L3 fine-tuned, MiniLM-L6 untouched beside it.

    .venv/bin/python -m tests.benchmarks.finetuning --jobs 2            # seeds 10 to 14
    .venv/bin/python -m tests.benchmarks.finetuning --both --jobs 2     # L6 is trained as well, apart from L3
    .venv/bin/python -m tests.benchmarks.finetuning --tune strengths    # how the strength was chosen
    .venv/bin/python -m tests.benchmarks.finetuning --tune decays       # … and the decay

All arms have the same seed, items, batches and number of steps. Scores are those of the last layers on held-out
sentences, calibrated against shuffled ones, with what `accord compare` does to activations by default; intervals are
paired, 95%, by Student's t. Strength and decay were each chosen on seeds of their own (100, 101), as the largest tried
that still learns: what keeps the two models nearest. With `--both` each model is trained on its own, by the same arm
with the same numbers, and the two that come out are compared.

Fine-tuning takes a model away from the other, and whatever slows learning down keeps it nearer. So the last rows
compare at the same task: with the other arm stopped where its held-out loss is that at which the entropic run ended, by
straight lines between the points of its history.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from platformdirs import user_cache_path
from rich.console import Console
from rich.table import Table

from alignment.entropic.calibrated import calibrated
from alignment.entropic.finetuning import FinetuneRequest, finetune
from alignment.entropic.finetuning.run import STEPS
from tests.benchmarks.paired import paired

SEEDS, TUNING = tuple(range(10, 15)), (100, 101)
STRENGTHS, DECAYS = (0.01, 0.03, 0.1), (1e-3, 1e-2, 3e-2, 1e-1)
STRENGTH = 0.03
CHOSEN = (1e-1,)
PLAIN = FinetuneRequest(
    model="builtin:minilm-l3",
    towards="builtin:minilm-l6",
    probe="builtin:language-reference",
    objective="plain",
    rate=3e-4,
    steps=80,
    batch=8,
    samples=480,
)
FIELDS = ("CKA", "mutual kNN", "task", "CKA with itself")


@dataclass(frozen=True)
class Outcome:
    """One run's numbers before and after, its history, and the last layer on the held-out items."""

    before: Mapping[str, float]
    after: Mapping[str, float]
    history: Sequence[Mapping[str, Any]]
    last: torch.Tensor

    def at(self, metric: str, task: float) -> float:
        """The uncalibrated score where the held-out loss first was so low; the last one if it never was."""
        points = [(point["task"], point[metric]) for point in self.history]
        for (high, early), (low, late) in pairwise(points):
            if low <= task <= high:
                return float(np.interp(task, [low, high], [late, early]))
        return float(points[0][1] if task > points[0][0] else points[-1][1])

    def beside(self, other: Outcome, seed: int) -> dict[str, float]:
        """The numbers of this run's model with another run's, where both were trained."""
        scores = {
            name: calibrated(metric, [self.last], [other.last], seed=seed, steps=STEPS).calibrated[0][0]
            for name, metric in (("CKA", "cka"), ("mutual kNN", "mutual_knn"))
        }
        return {**scores, "task": (self.after["task"] + other.after["task"]) / 2, "CKA with itself": math.nan}


def outcome(request: FinetuneRequest, cache: Path) -> Outcome:
    torch.set_num_threads(1)
    result = finetune(request, cache=cache)
    before, after = (
        {"CKA": at.last("cka"), "mutual kNN": at.last("mutual_knn"), "task": at.task, "CKA with itself": moved}
        for at, moved in ((result.before, 1.0), (result.after, result.moved["cka"]))
    )
    return Outcome(before, after, result.history, result.model.encoder.encode(result.held_out, "mean")[-1])


def mean(values: Sequence[Mapping[str, float]], field: str) -> str:
    middle = sum(v[field] for v in values) / len(values)
    return "" if math.isnan(middle) else f"{middle:.3f}"


def add(table: Table, runs: Mapping[str, Sequence[Mapping[str, float]]], head: str = "") -> None:
    """Adds the arms' means."""
    for name, values in runs.items():
        table.add_row(f"{head}{name}", *(mean(values, field) for field in FIELDS))


def add_gaps(table: Table, runs: Mapping[str, Sequence[Mapping[str, float]]], head: str = "") -> None:
    """Adds what the last arm, the entropic one, has more than each of the others."""
    *others, (last, own) = runs.items()
    for name, values in others:
        gaps = [paired([v[f] for v in own], [v[f] for v in values]) for f in FIELDS]
        table.add_row(f"{head}{last} minus {name}", *gaps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--tune", choices=("strengths", "decays"))
    parser.add_argument("--both", action="store_true")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--cache", type=Path, default=user_cache_path("accord"))
    asked = parser.parse_args()
    seeds = TUNING if asked.tune else asked.seeds
    strengths = {None: (STRENGTH,), "strengths": STRENGTHS, "decays": ()}[asked.tune]
    decays = {None: CHOSEN, "strengths": (), "decays": DECAYS}[asked.tune]
    arms = {
        "plain": PLAIN,
        **{f"decay {decay:g}": replace(PLAIN, weight_decay=decay) for decay in decays},
        **{f"entropic {eta:g}": replace(PLAIN, objective="entropic", strength=eta) for eta in strengths},
    }
    requests = [replace(request, seed=seed) for request in arms.values() for seed in seeds]
    if asked.both:
        requests += [replace(request, model=request.towards, towards=request.model) for request in requests]
    with ProcessPoolExecutor(asked.jobs, get_context("spawn")) as pool:
        made = list(pool.map(partial(outcome, cache=asked.cache), requests))
    runs = {name: made[at * len(seeds) : (at + 1) * len(seeds)] for at, name in enumerate(arms)}
    console = Console(width=120)
    table = Table(title=f"MiniLM-L3 with MiniLM-L6, seeds {', '.join(map(str, seeds))}", title_justify="left")
    for head in ("", *FIELDS):
        table.add_column(head, no_wrap=True)
    table.add_row("before", *(mean([o.before for o in runs["plain"]], field) for field in FIELDS))
    after = {name: [o.after for o in outcomes] for name, outcomes in runs.items()}
    add(table, after)
    if not asked.tune:
        add_gaps(table, after)
        *others, own = runs
        for name in others:
            same = []
            for metric in ("cka", "mutual_knn"):
                ends = [o.history[-1] for o in runs[own]]
                stopped = [p.at(metric, end["task"]) for p, end in zip(runs[name], ends, strict=True)]
                same.append(paired([end[metric] for end in ends], stopped))
            table.add_row(f"minus {name} at the same task, uncalibrated", *same, "", "")
    if asked.both:
        theirs = made[len(made) // 2 :]
        table.add_section()
        both = {}
        for at, (name, outcomes) in enumerate(runs.items()):
            pairs = zip(outcomes, theirs[at * len(seeds) : (at + 1) * len(seeds)], seeds, strict=True)
            both[name] = [one.beside(other, seed) for one, other, seed in pairs]
        add(table, both, "both trained: ")
        add_gaps(table, both, "both trained: ")
    console.print(table)


if __name__ == "__main__":
    main()

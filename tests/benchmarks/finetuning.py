"""Does the entropy bring a pretrained model nearer another? MiniLM-L3 fine-tuned, MiniLM-L6 untouched beside it.

    .venv/bin/python -m tests.benchmarks.finetuning --jobs 2    # seeds 10 to 14: about ten minutes of one core
    .venv/bin/python -m tests.benchmarks.finetuning --tune      # how the strength was chosen

All arms have the same seed, items, batches and number of steps. Scores are those of the last layers on held-out
sentences, calibrated against shuffled ones, with what `accord compare` does to activations by default; intervals are
paired, 95%, by Student's t. The strength was chosen on seeds of its own (100, 101), as the largest that still learns.

Fine-tuning takes a model away from the other, and whatever slows learning down keeps it nearer. So the last row
compares at the same task: with plain fine-tuning stopped where its held-out loss is that at which the entropic run
ended, by straight lines between the points of its history.
"""

from __future__ import annotations

import argparse
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
from scipy import stats

from alignment.entropic.finetuning import FinetuneRequest, finetune

SEEDS, TUNING = tuple(range(10, 15)), (100, 101)
STRENGTHS, DECAYS = (0.01, 0.03, 0.1), (1e-3, 1e-2)
STRENGTH, DECAY = 0.03, 1e-2
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
    """One run's numbers before and after, and its history."""

    before: Mapping[str, float]
    after: Mapping[str, float]
    history: Sequence[Mapping[str, Any]]

    def at(self, metric: str, task: float) -> float:
        """The uncalibrated score where the held-out loss first was so low; the last one if it never was."""
        points = [(point["task"], point[metric]) for point in self.history]
        for (high, early), (low, late) in pairwise(points):
            if low <= task <= high:
                return float(np.interp(task, [low, high], [late, early]))
        return float(points[0][1] if task > points[0][0] else points[-1][1])


def outcome(request: FinetuneRequest, cache: Path) -> Outcome:
    torch.set_num_threads(1)
    result = finetune(request, cache=cache)
    before, after = (
        {"CKA": at.last("cka"), "mutual kNN": at.last("mutual_knn"), "task": at.task, "CKA with itself": moved}
        for at, moved in ((result.before, 1.0), (result.after, result.moved["cka"]))
    )
    return Outcome(before, after, result.history)


def paired(one: Sequence[float], other: Sequence[float]) -> str:
    """The mean of `one - other` with its paired interval."""
    gaps = np.asarray(one) - np.asarray(other)
    half = float(stats.t.ppf(0.975, len(gaps) - 1)) * float(gaps.std(ddof=1)) / len(gaps) ** 0.5
    return f"{float(gaps.mean()):+.3f} ± {half:.3f}"


def mean(values: Sequence[Mapping[str, float]], field: str) -> str:
    return f"{sum(v[field] for v in values) / len(values):.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--cache", type=Path, default=user_cache_path("accord"))
    asked = parser.parse_args()
    seeds = TUNING if asked.tune else asked.seeds
    strengths, decays = (STRENGTHS, DECAYS) if asked.tune else ((STRENGTH,), (DECAY,))
    arms = {
        "plain": PLAIN,
        **{f"decay {decay:g}": replace(PLAIN, weight_decay=decay) for decay in decays},
        **{f"entropic {eta:g}": replace(PLAIN, objective="entropic", strength=eta) for eta in strengths},
    }
    requests = [replace(request, seed=seed) for request in arms.values() for seed in seeds]
    with ProcessPoolExecutor(asked.jobs, get_context("spawn")) as pool:
        made = list(pool.map(partial(outcome, cache=asked.cache), requests))
    runs = {name: made[at * len(seeds) : (at + 1) * len(seeds)] for at, name in enumerate(arms)}
    console = Console(width=120)
    table = Table(title=f"MiniLM-L3 with MiniLM-L6, seeds {', '.join(map(str, seeds))}", title_justify="left")
    for head in ("", *FIELDS):
        table.add_column(head, no_wrap=True)
    table.add_row("before", *(mean([o.before for o in runs["plain"]], field) for field in FIELDS))
    for name, outcomes in runs.items():
        table.add_row(name, *(mean([o.after for o in outcomes], field) for field in FIELDS))
    last, own = list(runs.items())[-1]
    for name, outcomes in [*runs.items()][:-1]:
        gaps = [paired([o.after[f] for o in own], [o.after[f] for o in outcomes]) for f in FIELDS]
        table.add_row(f"{last} minus {name}", *gaps)
    same = []
    for metric in ("cka", "mutual_knn"):
        ends = [o.history[-1] for o in own]
        stopped = [p.at(metric, end["task"]) for p, end in zip(runs["plain"], ends, strict=True)]
        same.append(paired([end[metric] for end in ends], stopped))
    table.add_row("minus plain at the same task, uncalibrated", *same, "", "")
    console.print(table)


if __name__ == "__main__":
    main()

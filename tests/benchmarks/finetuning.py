"""Does the entropy bring a pretrained model nearer another? MiniLM-L3 fine-tuned, MiniLM-L6 untouched beside it.

    .venv/bin/python -m tests.benchmarks.finetuning             # seeds 10 to 15: about fifteen minutes of one core
    .venv/bin/python -m tests.benchmarks.finetuning --seeds 20 21 22 23 24

All arms have the same seed, items, batches and number of steps. Scores are those of the last layers on held-out
sentences, calibrated against shuffled ones, with what `accord compare` does to activations by default; intervals are
paired, 95%, by Student's t. The strength and the decay are tuned on seeds of their own (100, 101), for calibrated CKA.
As the entropy also slows learning down, plain fine-tuning at a third of the rate stands beside it.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from platformdirs import user_cache_path
from rich.console import Console
from rich.table import Table
from scipy import stats

from alignment.entropic.finetuning import FinetuneRequest, finetune

SEEDS, TUNING = tuple(range(10, 16)), (100, 101)
STRENGTHS, DECAYS = (0.01, 0.03, 0.1), (1e-3, 1e-2)
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
Outcome = Mapping[str, float]


def outcome(request: FinetuneRequest, cache: Path) -> dict[str, Outcome]:
    """One run's numbers before and after."""
    result = finetune(request, cache=cache)
    return {
        name: {"CKA": at.last("cka"), "mutual kNN": at.last("mutual_knn"), "task": at.task, "CKA with itself": moved}
        for name, at, moved in (("before", result.before, 1.0), ("after", result.after, result.moved["cka"]))
    }


def entropic(strength: float) -> FinetuneRequest:
    return replace(PLAIN, objective="entropic", strength=strength)


def best(requests: Mapping[float, FinetuneRequest], cache: Path, console: Console) -> float:
    """The setting with the highest CKA on the tuning seeds."""
    found = {}
    for setting, request in requests.items():
        made = [outcome(replace(request, seed=seed), cache)["after"] for seed in TUNING]
        found[setting] = sum(o["CKA"] for o in made) / len(made)
        task = sum(o["task"] for o in made) / len(made)
        console.print(f"tuning: {request.objective} {setting:g}: CKA {found[setting]:.4f}, task {task:.3f}")
    return max(found, key=lambda s: -math.inf if math.isnan(found[s]) else found[s])


def paired(one: Sequence[float], other: Sequence[float]) -> str:
    """The mean of `one - other` with its paired interval."""
    gaps = torch.tensor(one, dtype=torch.float64) - torch.tensor(other, dtype=torch.float64)
    half = float(stats.t.ppf(0.975, len(gaps) - 1)) * float(gaps.std()) / len(gaps) ** 0.5
    return f"{float(gaps.mean()):+.3f} ± {half:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--cache", type=Path, default=user_cache_path("accord"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    console = Console(width=120)
    strength = best({eta: entropic(eta) for eta in STRENGTHS}, asked.cache, console)
    decay = best({gamma: replace(PLAIN, weight_decay=gamma) for gamma in DECAYS}, asked.cache, console)
    arms = {
        "plain": PLAIN,
        "plain, a third of the rate": replace(PLAIN, rate=PLAIN.rate / 3),
        f"decay {decay:g}": replace(PLAIN, weight_decay=decay),
        f"entropic {strength:g}": entropic(strength),
    }
    runs: dict[str, list[Outcome]] = {"before": [], **{name: [] for name in arms}}
    for seed in asked.seeds:
        for name, request in arms.items():
            made = outcome(replace(request, seed=seed), asked.cache)
            runs[name].append(made["after"])
            if name == "plain":
                runs["before"].append(made["before"])
        shown = {name: round(values[-1]["CKA"], 3) for name, values in runs.items()}
        console.print(f"seed {seed}: CKA {shown}")
    table = Table(title=f"MiniLM-L3 with MiniLM-L6, seeds {', '.join(map(str, asked.seeds))}", title_justify="left")
    for head in ("", *FIELDS):
        table.add_column(head, no_wrap=True)
    for name, values in runs.items():
        table.add_row(name, *(f"{sum(v[field] for v in values) / len(values):.3f}" for field in FIELDS))
    last = list(arms)[-1]
    for name in [*arms][:-1]:
        pairs = ([[v[field] for v in runs[arm]] for arm in (last, name)] for field in FIELDS)
        table.add_row(f"{last} minus {name}", *(paired(one, other) for one, other in pairs))
    console.print(table)


if __name__ == "__main__":
    main()

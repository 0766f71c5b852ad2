"""Nonlinear pairs by other ways to the entropy, and deeper ones: each against plain training and a tuned weight decay.

    .venv/bin/python -m tests.benchmarks.beyond --jobs 2     # teacher, two and three hidden layers: five idle minutes
    .venv/bin/python -m tests.benchmarks.beyond --data digits --hidden 2 4 --jobs 2
    .venv/bin/python -m tests.benchmarks.beyond --data teacher --hidden 4 --tune

What the recipe `mlp` trains on its teacher or the digits (its views, widths, labels, batches and steps) with what it
has no argument for: stochastic descent on few rows at a large rate, which has the entropy by itself; rebalancing every
100 steps; three and four hidden layers; and the penalty by finite differences, on the batch of each step. Decays and
strengths are those of `tests.benchmarks.pairs`, tuned on seeds of their own, 100 and 101, for two hidden layers; those
of four layers and the digits' rate were chosen from what `--tune` prints of the same seeds; the finite difference's
strength and the teacher's rate on seed 100 alone. Scores are on held-out items, calibrated; the mean over layers of
equal depth; intervals are paired, 95%, by Student's t.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import torch
from rich.console import Console
from rich.table import Table

from alignment.entropic.calibrated import calibrated, diagonal
from alignment.entropic.classroom import classroom
from alignment.entropic.initial import dense_network
from alignment.entropic.kernels import kernel_alignment
from alignment.entropic.loss import EntropicLoss
from alignment.entropic.problem import Problem
from alignment.entropic.rebalance import rebalance
from alignment.entropic.recipes import TrainingRequest
from alignment.entropic.recipes.examined import estimation
from alignment.entropic.recipes.mlp import MlpRecipe
from alignment.entropic.sampling import Sampling
from alignment.entropic.training.minibatch import Minibatch
from alignment.entropic.training.trainee import Trainee
from alignment.entropic.views import View
from alignment.errors import DivergenceError
from alignment.models import DenseConfig
from tests.benchmarks.paired import paired

SEEDS, TUNING = tuple(range(60, 66)), (100, 101)
WIDTHS = {"a": 48, "b": 64}
RATE, BATCH, STEPS, EVERY = 3e-3, 64, 2000, 100
FIELDS = ("CKA", "mutual kNN", "outputs' CKA", "held-out loss", "accuracy")


@dataclass(frozen=True)
class Way:
    """A way to train.

    Attributes:
        name: its name in the table.
        hidden: how many hidden layers.
        way: `adam`, `ghost_norm`, `finite_difference`, `sgd` or `rebalanced`.
        strength: of a penalty.
        decay: the weight decay.
        rate: the largest.
        batch: rows a step.
    """

    name: str
    hidden: int
    way: str = "adam"
    strength: float = 0.0
    decay: float = 0.0
    rate: float = RATE
    batch: int = BATCH


def _ghost(hidden: int, strength: float, decay: float = 0.0) -> Way:
    name = f"ghost norm, η {strength:g}" + (f", decay {decay:g}" if decay else "")
    return Way(name, hidden, "ghost_norm", strength, decay)


def _decays(hidden: int, *decays: float) -> list[Way]:
    return [Way("plain", hidden), *(Way(f"decay {decay:g}", hidden, decay=decay) for decay in decays)]


def _sgd(hidden: int, rate: float, batch: int = 8) -> Way:
    return Way(f"descent on {batch} rows, rate {rate:g}", hidden, "sgd", rate=rate, batch=batch)


WAYS: dict[str, list[Way]] = {
    "teacher": [
        *_decays(2, 0.03),
        _ghost(2, 0.1),
        Way("finite difference, η 0.3", 2, "finite_difference", 0.3),
        _sgd(2, 0.03),
        Way("rebalanced while training", 2, "rebalanced"),
        Way("rebalanced, decay 0.03", 2, "rebalanced", decay=0.03),
        *_decays(3, 0.03),
        _ghost(3, 0.1),
        *_decays(4, 0.03, 0.1),
        _ghost(4, 0.03),
    ],
    "digits": [
        *_decays(2, 1e-3, 0.01),
        _sgd(2, 0.1),
        _sgd(2, 0.1, BATCH),
        *_decays(4, 1e-3, 0.01),
        _ghost(4, 0.05, 1e-3),
    ],
}
TRIED: dict[str, list[Way]] = {
    "teacher": [*_decays(4, 0.01, 0.03, 0.1), _ghost(4, 0.03), _ghost(4, 0.1), _ghost(4, 0.3)],
    "digits": [
        *_decays(4, 1e-3, 3e-3, 0.01, 0.03),
        *(_ghost(4, strength, 1e-3) for strength in (0.05, 0.1)),
        *(_sgd(2, rate) for rate in (0.03, 0.1, 0.3)),
    ],
}


def run(data: str, way: Way, seed: int) -> tuple[float, ...]:
    """One pair's numbers, as in `FIELDS`; NaN where there is none, and in all if it diverges."""
    torch.set_num_threads(1)
    room = classroom(data, seed)
    usual = MlpRecipe.of(TrainingRequest("mlp", data=data, seed=seed))
    hidden, outputs, losses, right = {}, {}, [], []
    for member in "ab":
        seen = View.parse(usual.request.view_a or "").see(room.inputs, seed, member)
        x, y = seen[~room.held], room.targets[~room.held]
        widths = (seen.shape[1], *[WIDTHS[member]] * way.hidden, room.outputs)
        network = dense_network(DenseConfig(widths), seed, member)
        estimator, sampling = estimation("finite_difference" if way.way == "finite_difference" else "ghost_norm", BATCH)
        stage = Minibatch(
            steps=STEPS * BATCH // way.batch,  # as many rows for all
            rate=way.rate,
            objective=EntropicLoss(way.strength, way.decay, estimator, sampling),
            loss=room.loss,
            inputs=x,
            targets=y,
            batch=way.batch,
            labels=usual.request.labels or "true" if way.strength else "true",
            method="sgd" if way.way == "sgd" else "adam",
            anneal=usual.anneal,
            seed=seed,
            member=member,
        )
        try:
            _train(
                Trainee(member, network, [stage], EVERY * BATCH // way.batch, ""),
                Problem(network, room.loss, x, y),
                way,
            )
        except DivergenceError:
            return (math.nan,) * len(FIELDS)
        with torch.no_grad():
            examined, expected = seen[room.held], room.targets[room.held]
            hidden[member], outputs[member] = network.hidden(examined), network(examined)
            losses.append(float(room.loss(outputs[member], expected).mean()))
            if room.classes:
                right.append(float((outputs[member].argmax(1) == expected).double().mean()))
    cka, neighbours = (calibrated(m, hidden["a"], hidden["b"], seed=seed) for m in ("cka", "mutual_knn"))
    answers = float(kernel_alignment([outputs["a"]], [outputs["b"]], centred=True))
    accuracy = sum(right) / 2 if right else math.nan
    return diagonal(cka.calibrated), diagonal(neighbours.calibrated), answers, sum(losses) / 2, accuracy


def _train(trainee: Trainee, problem: Problem, way: Way) -> None:
    while not trainee.done:
        trainee.advance()
        if (
            way.way == "rebalanced" and not trainee.done
        ):  # its last steps may unbalance it again: what is kept is trained
            rebalance(problem, Sampling())


def study(data: str, ways: Sequence[Way], seeds: Sequence[int], pool: ProcessPoolExecutor, differ: bool) -> Table:
    """The table."""
    table = Table(title=f"{data}, seeds {', '.join(map(str, seeds))}", title_justify="left")
    for head in ("", *FIELDS):
        table.add_column(head, no_wrap=True)
    made = {way: [pool.submit(run, data, way, seed) for seed in seeds] for way in ways}
    scores = {way: list(zip(*(one.result() for one in found), strict=True)) for way, found in made.items()}
    for hidden in sorted({way.hidden for way in ways}):
        table.add_section()
        alike = [way for way in ways if way.hidden == hidden]
        for way in alike:
            means = (sum(values) / len(values) for values in scores[way])
            shown = ("" if math.isnan(mean) else f"{mean:.3f}" for mean in means)
            table.add_row(f"{hidden} hidden layers: {way.name}", *shown)
        plain = [way for way in alike if way.way == "adam"]
        for way in alike if differ else ():
            for other in plain if way not in plain else ():
                _differences(table, f"  {way.name} minus {other.name}", scores[way], scores[other])
    return table


def _differences(table: Table, title: str, one: Sequence[Sequence[float]], other: Sequence[Sequence[float]]) -> None:
    table.add_row(title, *(paired(a, b) for a, b in zip(one, other, strict=True)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=sorted(WAYS), default="teacher")
    parser.add_argument("--hidden", type=int, nargs="+", default=[2, 3])
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--tune", action="store_true", help="what was tried, on the seeds 100 and 101")
    asked = parser.parse_args()
    ways = [way for way in (TRIED if asked.tune else WAYS)[asked.data] if way.hidden in asked.hidden]
    seeds = asked.seeds or (TUNING if asked.tune else SEEDS)
    # New processes, not copies of this one: torch's threads do not survive a fork.
    with ProcessPoolExecutor(asked.jobs, multiprocessing.get_context("spawn")) as pool:
        Console(width=150).print(study(asked.data, ways, seeds, pool, differ=not asked.tune))


if __name__ == "__main__":
    main()

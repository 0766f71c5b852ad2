"""Nonlinear pairs by other ways to the entropy, and a deeper one: each against plain training and a tuned weight decay.

    .venv/bin/python -m tests.benchmarks.beyond                  # seeds 60 to 65: about fifteen minutes
    .venv/bin/python -m tests.benchmarks.beyond --data digits

What the recipe `mlp` trains (its data, views, widths, batches and steps) with what it has no argument for: stochastic
descent on few rows at a large rate, which has the entropy by itself; the penalty by finite differences, on the batch of
each step; rebalancing every 100 steps; three hidden layers. Each way's one number is tuned for CKA on the
seeds 100 and 101. Scores are on held-out items, calibrated; the mean over layers of equal depth; intervals are paired,
95%, by Student's t.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
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
from tests.benchmarks.pairs import paired

SEEDS, TUNING = tuple(range(60, 66)), (100, 101)
WIDTHS = {"a": 48, "b": 64}
RATE, BATCH, STEPS, EVERY = 3e-3, 64, 2000, 100
DECAYS = {"teacher": (1e-2, 3e-2, 1e-1), "digits": (1e-3, 1e-2, 3e-2)}
STRENGTHS = {"teacher": (0.1, 0.3), "digits": (0.02, 0.05)}


@dataclass(frozen=True)
class Way:
    """A way to train.

    Attributes:
        hidden: how many hidden layers.
        way: `adam`, `ghost_norm`, `finite_difference`, `sgd` or `rebalanced`.
        amount: the weight decay of `adam` and `rebalanced`, the strength of a penalty, the rate of `sgd`.
        batch: rows a step of `sgd`.
    """

    hidden: int
    way: str
    amount: float = 0.0
    batch: int = BATCH


def run(data: str, way: Way, seed: int) -> tuple[float, float, float, float]:
    """One pair's CKA, mutual nearest neighbours, outputs' CKA and mean held-out loss; NaN if it diverges."""
    room = classroom(data, seed)
    usual = MlpRecipe.of(TrainingRequest("mlp", data=data, seed=seed))
    hidden, outputs, losses = {}, {}, []
    for member in "ab":
        seen = View.parse(usual.request.view_a or "").see(room.inputs, seed, member)
        x, y = seen[~room.held], room.targets[~room.held]
        widths = (seen.shape[1], *[WIDTHS[member]] * way.hidden, room.outputs)
        network = dense_network(DenseConfig(widths), seed, member)
        penalised = way.way in ("ghost_norm", "finite_difference")
        estimator, sampling = estimation("finite_difference" if way.way == "finite_difference" else "ghost_norm", BATCH)
        sgd = way.way == "sgd"
        stage = Minibatch(
            steps=STEPS * BATCH // way.batch,  # as many rows for all
            rate=way.amount if sgd else RATE,
            objective=EntropicLoss(
                way.amount if penalised else 0.0, 0.0 if penalised or sgd else way.amount, estimator, sampling
            ),
            loss=room.loss,
            inputs=x,
            targets=y,
            batch=way.batch,
            labels="sampled" if penalised and room.classes else "true",
            method="sgd" if sgd else "adam",
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
            return math.nan, math.nan, math.nan, math.nan
        with torch.no_grad():
            examined = seen[room.held]
            hidden[member], outputs[member] = network.hidden(examined), network(examined)
            losses.append(float(room.loss(outputs[member], room.targets[room.held]).mean()))
    cka, neighbours = (calibrated(m, hidden["a"], hidden["b"], seed=seed) for m in ("cka", "mutual_knn"))
    answers = float(kernel_alignment([outputs["a"]], [outputs["b"]], centred=True))
    return diagonal(cka.calibrated), diagonal(neighbours.calibrated), answers, sum(losses) / 2


def _train(trainee: Trainee, problem: Problem, way: Way) -> None:
    while not trainee.done:
        trainee.advance()
        if (
            way.way == "rebalanced" and not trainee.done
        ):  # its last steps may unbalance it again: what is kept is trained
            rebalance(problem, Sampling())


def tuned(data: str, ways: Sequence[Way]) -> Way:
    """The way with the most CKA on the tuning seeds; one that diverges is none."""
    runs = {way: sum(run(data, way, seed)[0] for seed in TUNING) for way in ways}
    return max(runs, key=lambda way: -math.inf if math.isnan(runs[way]) else runs[way])


def arms(data: str, hidden: int) -> dict[str, Way]:
    """What is tried at a depth, tuned."""
    penalties = STRENGTHS[data]
    found = {
        "plain": Way(hidden, "adam"),
        "decay": tuned(data, [Way(hidden, "adam", d) for d in DECAYS[data]]),
        "ghost norm": tuned(data, [Way(hidden, "ghost_norm", e) for e in penalties]),
    }
    if hidden == 2:
        found["finite difference"] = tuned(data, [Way(hidden, "finite_difference", 3 * e) for e in penalties])
        found["descent, 8 rows"] = tuned(data, [Way(hidden, "sgd", rate, 8) for rate in (1e-2, 3e-2)])
        found["rebalanced"] = Way(hidden, "rebalanced")
    return found


def study(data: str, seeds: Sequence[int]) -> Table:
    """One data set's table."""
    table = Table(title=f"{data}, seeds {', '.join(map(str, seeds))}", title_justify="left")
    for head in ("", "CKA", "mutual kNN", "outputs' CKA", "held-out loss"):
        table.add_column(head, no_wrap=True)
    for hidden in (2, 3):
        ways = arms(data, hidden)
        scores = {name: list(zip(*(run(data, way, seed) for seed in seeds), strict=True)) for name, way in ways.items()}
        table.add_section()
        for name, way in ways.items():
            amount = "" if way.amount == 0 else f" {way.amount:g}"
            means = (sum(values) / len(values) for values in scores[name])
            table.add_row(f"{hidden} hidden layers, {name}{amount}", *(f"{mean:.3f}" for mean in means))
        for name in list(ways)[2:]:
            for other in ("plain", "decay"):
                _differences(table, f"  {name} minus {other}", scores[name], scores[other])
    return table


def _differences(table: Table, title: str, one: Sequence[Sequence[float]], other: Sequence[Sequence[float]]) -> None:
    table.add_row(title, *(paired(a, b) for a, b in zip(one, other, strict=True)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=["teacher"])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    for data in asked.data:
        Console(width=140).print(study(data, asked.seeds))


if __name__ == "__main__":
    main()

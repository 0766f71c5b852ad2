"""Does the interval of the best score cover what it says? A simulation, printed as a table.

    .venv/bin/python -m tests.benchmarks.coverage

Two sides of three layers each see the same Gaussian latent, mixed and blurred. In `tied`, all nine cells have the same
distribution, which is where picking the best misleads most; in `winner` one pair is blurred less; `twice` is that with
half as many items, each there two times. The target, the maximum over cells of the mean score at this n, and the
oracle's band, made with the true deviations and the true quantile of the largest error, come from replicates of their
own.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from alignment.calibration import best_interval
from alignment.metrics import METRICS, InfluencePairing, MetricChoice
from alignment.preprocessing import Preprocessing, prepare
from alignment.views import Views, copies

_WINNER = ((2.5, 0.8, 2.5), (2.5, 2.5, 0.8))
NOISE = {"tied": ((1.5, 1.5, 1.5), (1.5, 1.5, 1.5)), "winner": _WINNER, "twice": _WINNER}
LEVEL, DRAWS = 0.95, 200


@dataclass(frozen=True)
class Coverage:
    """What a simulation found.

    Attributes:
        covered: the share of intervals that held the target.
        width: their mean width.
        oracle: the mean width of the oracle's band.
    """

    covered: float
    width: float
    oracle: float


def draw(setting: str, items: int, seed: int, width: int = 24, latent: int = 8) -> tuple[Views, Views]:
    """Two sides of three layers on `items` fresh items; the maps are the same for every seed."""
    maps, random = np.random.default_rng(7), np.random.default_rng([11, seed])
    times = 2 if setting == "twice" else 1
    shared = random.normal(size=(items // times, latent))
    sides = []
    for noises in NOISE[setting]:
        layers = []
        for noise in noises:
            mixed = shared @ maps.normal(size=(latent, width)) / latent**0.5
            once = mixed + noise * random.normal(size=(items // times, width))
            values = torch.from_numpy(np.repeat(once, times, axis=0)).float()
            layers.append(prepare(values, Preprocessing(clip=None, normalize=True)))
        sides.append(Views(layers))
    return sides[0], sides[1]


def simulate(metric: str, setting: str, *, items: int, replicates: int, truths: int) -> Coverage:
    """The coverage of the interval of one metric's best score."""
    choice = MetricChoice.parse(metric)

    def pairing(a: Views, b: Views) -> InfluencePairing:
        made = choice.metric.pair(a, b, choice.values)
        assert isinstance(made, InfluencePairing)
        return made

    drawn = (draw(setting, items, 10**6 + seed) for seed in range(truths))
    scores = torch.stack([pairing(a, b).observed() for a, b in drawn]).flatten(1)
    mean, sigma = scores.mean(dim=0), scores.std(dim=0)
    target = float(mean.max())
    quantile = torch.quantile(((scores - mean).abs() / sigma).amax(dim=1), LEVEL)
    oracle = (scores + quantile * sigma).amax(dim=1) - (scores - quantile * sigma).amax(dim=1)
    covered, widths = 0, []
    for seed in range(replicates):
        a, b = draw(setting, items, seed)
        made = pairing(a, b)
        found = best_interval(
            made,
            made.observed(),
            items,
            draws=DRAWS,
            level=LEVEL,
            seed=seed,
            bounds=choice.metric.range,
            copies=copies([*a.layers, *b.layers]),
        )
        assert found is not None
        covered += found[0] <= target <= found[1]
        widths.append(found[1] - found[0])
    return Coverage(covered / replicates, float(np.mean(widths)), float(oracle.mean()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, nargs="+", default=[200, 500])
    parser.add_argument("--replicates", type=int, default=400)
    parser.add_argument("--truths", type=int, default=1000)
    names = [metric.name for metric in METRICS.values() if metric.interval]
    parser.add_argument("--metric", nargs="+", default=[*names, "mutual_knn:k=30"])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    table = Table(title=f"nominal {LEVEL:.0%}, {asked.replicates} replicates, 3 x 3 layers", title_justify="left")
    for head in ("metric", "setting", "items", "covered", "width", "width / oracle's"):
        table.add_column(head)
    for name in asked.metric:
        for setting in NOISE:
            for items in asked.items:
                found = simulate(name, setting, items=items, replicates=asked.replicates, truths=asked.truths)
                ratio = f"{found.width / found.oracle:.2f}"
                table.add_row(name, setting, str(items), f"{found.covered:.3f}", f"{found.width:.4f}", ratio)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()

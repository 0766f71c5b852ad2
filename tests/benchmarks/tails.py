"""How often single cells' p-values from moments fall below a level, where the sides have nothing to do with each other.

    .venv/bin/python -m tests.benchmarks.tails

For every pair of layers drawn apart, items are shuffled again and again, and each shuffled score is given the p-value
that an observed one would get. `trusted` are the pairs whose p-values come from moments in a report; `left` are those
that the report leaves to permutations, here given the p-value that it would have been.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from alignment.calibration import pearson_p
from alignment.calibration.pearson import trusted
from alignment.metrics import MetricChoice
from alignment.preprocessing import Preprocessing, prepare
from alignment.views import Views

LEVELS = (0.001, 0.01, 0.05)
Layer = Callable[[np.random.Generator, int, int], np.ndarray]
KINDS: dict[str, Layer] = {
    "Gaussian": lambda r, n, w: r.normal(size=(n, w)),
    "Student's t, 3 degrees": lambda r, n, w: r.standard_t(3, size=(n, w)),
    "cubed Gaussian": lambda r, n, w: r.normal(size=(n, w)) ** 3,
    "rows of different length": lambda r, n, w: r.normal(size=(n, w)) * np.exp(0.4 * r.normal(size=(n, 1))),
    "four clusters": lambda r, n, w: 3 * r.normal(size=(4, w))[r.integers(0, 4, n)] + r.normal(size=(n, w)),
    "rows with t, 2 degrees, lengths": lambda r, n, w: r.normal(size=(n, w)) * r.standard_t(2, size=(n, 1)),
}


@dataclass(frozen=True)
class Tail:
    """What a simulation found.

    Attributes:
        pairs: how many pairs of layers.
        trusted: the share of them whose p-values come from moments.
        rates: of these, how often a p-value is at most each level.
        left: the same of the others.
        draws: how many p-values of pairs that are trusted there were.
    """

    pairs: int
    trusted: float
    rates: tuple[float, ...]
    left: tuple[float, ...]
    draws: int


def simulate(key: str, kind: str, *, items: int, layers: int, draws: int, seed: int = 0) -> Tail:
    """How `layers` × `layers` pairs fare under `draws` shuffles each."""
    random = np.random.default_rng([items, seed])
    choice, steps = MetricChoice.parse(key), Preprocessing(clip=None, normalize=False)

    def side() -> Views:
        widths = [(4, 16, 64)[index % 3] for index in range(layers)]
        made = [torch.from_numpy(KINDS[kind](random, items, width)).float() for width in widths]
        return Views([prepare(values, steps) for values in made])

    pairing = choice.metric.pair(side(), side(), choice.values)
    moments = pairing.null_moments()
    assert moments is not None
    found = torch.stack(
        [pearson_p(pairing.permuted(torch.from_numpy(random.permutation(items))), moments) for _ in range(draws)]
    )
    good = trusted(moments)

    def rates(cells: torch.Tensor) -> tuple[float, ...]:
        return tuple(float((found[:, cells] <= level).double().mean()) for level in LEVELS)

    share = float(good.double().mean())
    return Tail(layers**2, share, rates(good), rates(~good), int(good.sum()) * draws)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, nargs="+", default=[30, 40, 80, 200])
    parser.add_argument("--layers", type=int, default=23)
    parser.add_argument("--draws", type=int, default=400)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    table = Table(title=f"{asked.layers**2} pairs, {asked.draws} shuffles each", title_justify="left")
    for head in ("layers", "items", "metric", "trusted", *(f"P(p <= {level})" for level in LEVELS), "left: 0.001"):
        table.add_column(head)
    for kind in KINDS:
        for items in asked.items:
            for key in ("cka", "unbiased_cka"):
                found = simulate(key, kind, items=items, layers=asked.layers, draws=asked.draws)
                rates = (f"{rate:.5f}" if found.trusted else "" for rate in found.rates)
                left = f"{found.left[0]:.5f}" if found.trusted < 1 else ""
                table.add_row(kind, str(items), key, f"{found.trusted:.2f}", *rates, left)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()

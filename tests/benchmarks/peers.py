"""Peers that install from PyPI (`pip install '.[bench]'`), on the grids of `make bench`."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table

from alignment.metrics import MetricChoice
from alignment.preprocessing import Preprocessing, prepare
from alignment.views import Views

Layers = list[torch.Tensor]
PERMUTATIONS = 200


def exact_unbiased_cka(a: Layers, b: Layers) -> torch.Tensor:
    """The grid in float64."""
    choice = MetricChoice.of("unbiased_cka")
    steps = Preprocessing(clip=None, normalize=True)
    one, other = (Views([prepare(x.double(), steps) for x in layers]) for layers in (a, b))
    return choice.metric.pair(one, other, choice.values).observed()


def pytorch_cka(
    name: str, a: Layers, b: Layers, ours: Callable[[], torch.Tensor], cpu: Callable[..., float], console: Console
) -> None:
    """Prints unbiased CKA's time and error beside pytorch-cka's fastest path, cold, the two in turn."""
    try:
        from cka import cka_from_features
    except ImportError:
        console.print("pytorch-cka is not installed: pip install '.[bench]'")
        return
    exact = exact_unbiased_cka(a, b)
    rounds = [(cpu(ours, 1), cpu(lambda: cka_from_features(a, b), 1)) for _ in range(5)]
    here, there = (statistics.median(times) for times in zip(*rounds, strict=True))
    ratio = statistics.median(one / other for one, other in rounds)
    table = Table(title=f"grid {name}: unbiased CKA, cold, against pytorch-cka 1.1.3", title_justify="left")
    for head in ("", "s", "largest error against float64"):
        table.add_column(head, justify="right" if head else "left")
    table.add_row("pytorch-cka", f"{there:.2f}", f"{float((cka_from_features(a, b) - exact).abs().max()):.1e}")
    table.add_row("here", f"{here:.2f}", f"{float((ours() - exact).abs().max()):.1e}")
    table.add_row("ratio, run by run", f"{ratio:.2f}", "")
    console.print(table)


def calibrated_similarity(
    name: str,
    a: Layers,
    b: Layers,
    loops: dict[str, Callable[[torch.Tensor, torch.Tensor], object]],
    cpu: Callable[..., float],
    console: Console,
) -> None:
    """Prints what calibrated-similarity's loop over pairs and permutations takes, from one pair and two shuffles."""
    try:
        from calibrated_similarity import calibrate
    except ImportError:
        console.print("calibrated-similarity is not installed: pip install '.[bench]'")
        return
    table = Table(
        title=f"grid {name}: {PERMUTATIONS} permutations by calibrated-similarity 0.1.1", title_justify="left"
    )
    for head in ("", "s, from one pair and two permutations"):
        table.add_column(head, justify="right" if head else "left")
    for metric in ("mutual_knn", "cka", "unbiased_cka"):
        loop = loops[metric]
        each = (
            cpu(lambda loop=loop: calibrate(a[0], b[0], loop, K=2), 1) / 3
        )  # the observed score and two shuffled ones
        table.add_row(metric, f"{each * PERMUTATIONS * len(a) * len(b):.0f}")
    console.print(table)

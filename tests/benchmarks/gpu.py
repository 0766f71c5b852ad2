"""The GPU's table: the seven metrics and their permutations on grid B, many items, waits, and what decides neighbours.

    .venv/bin/python -m tests.benchmarks.gpu

Seconds are of the clock, with the device idle before and after, the second of two runs. `--device cpu --small` goes
through the same on a CPU in a moment, the way that a GPU goes.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from unittest import mock

import torch
from rich.console import Console
from rich.table import Table

from alignment.calibration import null_scores
from alignment.metrics import MetricChoice
from alignment.preprocessing import Preprocessing, prepare_all
from alignment.views import Views, ahead
from tests.benchmarks.grid import GRIDS, SEVEN, UNIT_ROWS, make_layers
from tests.metrics.watch import Waits

SHUFFLED = ("mutual_knn", "cka", "unbiased_cka")
Layers = list[torch.Tensor]


def clock(work: Callable[[], object], device: torch.device) -> float:
    """The seconds of the second of two runs, until the device has done it."""
    took = 0.0
    for _ in range(2):
        wait(device)
        start = time.perf_counter()
        work()
        wait(device)
        took = time.perf_counter() - start
    return took


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def waits(work: Callable[[], object], device: torch.device) -> int:
    """How often the host waits for the device: as CUDA itself sees it, or as operations on a CPU would make it."""
    if device.type != "cuda":
        with Waits() as seen:
            work()
        return seen.count
    with warnings.catch_warnings(record=True) as caught:  # setting it warns too
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            work()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return sum("called a synchronizing" in str(one.message) for one in caught)


def prepared(layers: Layers, steps: Preprocessing = UNIT_ROWS) -> Views:
    return Views(prepare_all(layers, steps))


def metrics(one: Views, other: Views, names: tuple[str, ...]) -> list[torch.Tensor]:
    return [c.metric.pair(one, other, c.values).observed() for c in map(MetricChoice.of, names)]


def shuffles(one: Views, other: Views, count: int) -> None:
    for choice in map(MetricChoice.of, SHUFFLED):
        pairing = choice.metric.pair(one, other, choice.values)
        null_scores(pairing, one.items, count, seed=0, device=one.device, progress=lambda stage, done, total: None)


def grid_rows(device: torch.device, *, small: bool) -> list[tuple[str, str, str]]:
    """Grid B: everything from activations that are on the device, then its parts."""
    (count_a, width_a), (count_b, width_b) = ((3, 24), (4, 16)) if small else GRIDS["B"]
    items, permutations = (128, 5) if small else (1024, 1000)
    latent = torch.randn(items, 30, generator=torch.Generator().manual_seed(0))
    a, b = (
        [layer.to(device) for layer in make_layers(count, width, latent, seed)]
        for count, width, seed in ((count_a, width_a, 1), (count_b, width_b, 2))
    )

    def everything() -> None:
        one, other = prepared(a), prepared(b)
        metrics(one, other, SEVEN)
        shuffles(one, other, permutations)

    one, other = prepared(a), prepared(b)
    here = metrics(one, other, SEVEN)
    shape = f"{count_a} x {count_b}, n = {items}"
    rows = [
        (f"{shape}: seven metrics, {permutations} permutations of three, s", f"{clock(everything, device):.2f}", "3"),
        ("  of that the seven, cold, s", f"{clock(lambda: metrics(prepared(a), prepared(b), SEVEN), device):.3f}", ""),
        ("  of that the seven, views ready, s", f"{clock(lambda: metrics(one, other, SEVEN), device):.3f}", ""),
        ("  of that the permutations, s", f"{clock(lambda: shuffles(one, other, permutations), device):.2f}", ""),
        ("waits in the grid, views ready", str(waits(lambda: metrics(one, other, SEVEN), device)), "0"),
        ("waits while a stack is prepared", str(waits(lambda: prepared(a).edges(10), device)), "few"),
    ]
    pairings = [c.metric.pair(one, other, c.values) for c in map(MetricChoice.of, SHUFFLED)]
    order = torch.randperm(items, generator=torch.Generator().manual_seed(3)).to(device)
    rows.append(("waits in a permutation", str(waits(lambda: [p.permuted(order) for p in pairings], device)), "0"))
    there = metrics(prepared([x.cpu() for x in a]), prepared([x.cpu() for x in b]), SEVEN)
    apart = max(float((x.cpu() - y).abs().max()) for x, y in zip(here, there, strict=True))
    rows.append(("largest difference from the CPU's scores", f"{apart:.1e}", "2e-6"))
    again = metrics(prepared(a), prepared(b), SEVEN)
    same = all(torch.equal(x, y) for x, y in zip(here, again, strict=True))
    rows.append(("the same to the last bit when repeated", "yes" if same else "no", "yes"))
    return rows


def large_row(device: torch.device, *, small: bool) -> tuple[str, str, str]:
    """One pair of layers of many items."""
    items, width = (2000, 16) if small else (100_000, 384)
    latent = torch.randn(items, 30, generator=torch.Generator().manual_seed(0))
    a, b = ([layer.to(device) for layer in make_layers(1, width, latent, seed)] for seed in (1, 2))
    took = clock(lambda: metrics(prepared(a), prepared(b), SHUFFLED), device)
    return f"n = {items}, width {width}: {', '.join(SHUFFLED)}, s", f"{took:.2f}", "5"


def coarse_row(device: torch.device, *, small: bool, asked: str) -> tuple[str, str, str]:
    """How many neighbours change when the process lets float32 products be formed in TF32 or bfloat16."""
    items = 300 if small else 1024
    layer = torch.randn(items, 64, generator=torch.Generator().manual_seed(4)).to(device)
    before = torch.get_float32_matmul_precision()
    exact = prepared([layer.double()]).neighbours(10)
    try:
        torch.set_float32_matmul_precision(asked)
        found = prepared([layer]).neighbours(10)
    finally:
        torch.set_float32_matmul_precision(before)
    return f"neighbours that change with precision {asked!r}", str(int((found != exact).sum())), "0"


def rows_of(device: torch.device, *, small: bool) -> list[tuple[str, str, str]]:
    """Every line of the table: what, figure, what it is to be."""
    with ExitStack() as stack:
        if device.type == "cpu":  # the way that a GPU goes
            stack.enter_context(mock.patch.object(ahead, "runs_ahead", return_value=True))
        return [
            *grid_rows(device, small=small),
            large_row(device, small=small),
            *(coarse_row(device, small=small, asked=asked) for asked in ("high", "medium")),
        ]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="a moment's work, to see that all of it runs")
    asked = parser.parse_args(arguments)
    device = torch.device(asked.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error("there is no CUDA device here; --device cpu --small goes through the same on a CPU")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    table = Table(title=f"{name}, torch {torch.__version__}", title_justify="left")
    for head in ("", "here", "to reach"):
        table.add_column(head, justify="right" if head else "left")
    for row in rows_of(device, small=asked.small):
        table.add_row(*row)
    Console(width=110).print(table)


if __name__ == "__main__":
    main()

"""The acceptance bars of entropic training over several seeds, and what its estimators cost.

    .venv/bin/python -m tests.benchmarks.entropic                          # seeds 0 to 4 and 7: about eight minutes
    .venv/bin/python -m tests.benchmarks.entropic --descent --seeds 10 11  # real stochastic descent alone
    .venv/bin/python -m tests.benchmarks.entropic --cost                   # time and memory against a plain step
    .venv/bin/python -m tests.benchmarks.entropic --cost --device cuda     # a GPU's
    .venv/bin/python -m tests.benchmarks.entropic --picture alignment.svg  # alignment over time, plain and entropic

The worst and the best over seeds, with the bar beside them, then each seed's.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from alignment.entropic.estimators import Estimator, FiniteDifference, GhostNorm, PerSample
from alignment.entropic.problem import Problem, cross_entropy
from alignment.entropic.recipes import TrainingRequest, train
from alignment.entropic.sampling import Sampling
from alignment.report.history_figure import history_figure
from tests.benchmarks.acceptance import Row, descent_alone, rows
from tests.entropic.networks import Transformer

SEEDS = (0, 1, 2, 3, 4, 7)


def show(seeds: Sequence[int], rows: Callable[[Sequence[int]], list[Row]] = rows) -> bool:
    """Prints the bars; whether all held."""
    table = Table(title=f"seeds {', '.join(map(str, seeds))}", title_justify="left")
    for head in ("", "worst", "best", "bar", "held"):
        table.add_column(head, no_wrap=True)
    each = Table(title="each seed", title_justify="left")
    for head in ("", *map(str, seeds)):
        each.add_column(head, no_wrap=True)
    held = True
    for name, values, bar, holds in rows(seeds):
        each.add_row(name, *(f"{value:.2g}" for value in values))
        passed = sum(holds(value) for value in values)
        held &= passed == len(values)
        up = bar.startswith(">")
        worst, best = (min(values), max(values)) if up else (max(values), min(values))
        table.add_row(name, f"{worst:.3g}", f"{best:.3g}", bar, f"{passed}/{len(values)}")
    Console(width=110).print(table)
    Console(width=max(110, 64 + 11 * len(seeds))).print(each)
    return held


def cost(device: str, *, small: bool = False) -> None:
    """Prints time and peak memory against a plain step (forward, backward) on the same rows."""
    repeats, width, rows, length = (1, 16, 8, 6) if small else (15, 512, 128, 32)
    random = torch.Generator().manual_seed(0)
    hidden = [m for _ in range(4) for m in (nn.Linear(width, width), nn.ReLU())]
    mlp = nn.Sequential(*hidden, nn.Linear(width, 10)).to(device)
    transformer = Transformer(vocabulary=500, width=width // 4, length=length).to(device)
    x = torch.randn(rows, width, generator=random).to(device)
    ids = torch.randint(0, 500, (rows // 4, length), generator=random).to(device)
    y, z = (torch.randint(0, 10, (len(v),), generator=random).to(device) for v in (x, ids))
    estimators: dict[str, Estimator] = {
        "finite difference": FiniteDifference(),
        "ghost norm": GhostNorm(),
        "per-sample": PerSample(),
    }
    table = Table(title=f"over a plain step, {device}, one thread, float32", title_justify="left")
    for head in ("network", "what", "time", "memory"):
        table.add_column(head)
    for name, problem in (
        (f"MLP, 4 x {width}, {rows} rows", Problem(mlp, cross_entropy, x, y)),
        (f"transformer, {len(ids)} rows of {length}", Problem(transformer, cross_entropy, ids, z)),
    ):

        def plain(problem: Problem = problem) -> None:
            loss = problem.losses(problem.model(problem.inputs), problem.targets).mean()
            torch.autograd.grad(loss, list(problem.parameters.values()))

        jobs: dict[str, Callable[[], object]] = {"plain step": plain}
        for kind, estimator in estimators.items():
            sampling = Sampling(len(problem) if kind == "finite difference" else 1)
            jobs[f"{kind}, value"] = lambda e=estimator, s=sampling, p=problem: e.value(p, s)
            jobs[f"{kind}, with gradient"] = lambda e=estimator, s=sampling, p=problem: e.step(p, s, 0.01)
        seconds: dict[str, list[float]] = {job: [] for job in jobs}
        for job in jobs.values():
            job()
        for _ in range(repeats):  # in turn, so that a busy moment of the machine meets all alike
            for job, call in jobs.items():
                seconds[job].append(_seconds(call, device))
        peaks = {job: _peak(call, device) for job, call in jobs.items()}
        for job in jobs:
            times = min(seconds[job]) / min(seconds["plain step"])
            table.add_row(name, job, f"{times:.2f}", f"{peaks[job] / peaks['plain step']:.2f}")
    Console(width=110).print(table)


def _seconds(call: Callable[[], object], device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    begun = time.perf_counter() if device == "cuda" else time.process_time()
    call()
    if device == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() if device == "cuda" else time.process_time()) - begun


def _peak(call: Callable[[], object], device: str) -> float:
    """Bytes allocated at the highest moment, weights not counted."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        return float(torch.cuda.max_memory_allocated() - before)
    activity = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activity, profile_memory=True) as profile:
        call()
    held = peak = 0
    for event in profile.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held)
    return float(peak)


def picture(path: Path, seeds: Sequence[int]) -> None:
    """Writes alignment over the share of steps, by plain descent, by stochastic descent and by the entropic loss."""
    kinds = {
        "plain descent": TrainingRequest(objective="plain"),
        "single-row descent": TrainingRequest(optimizer="sgd"),
        "entropic loss": TrainingRequest(),
    }
    curves = {}
    for name, request in kinds.items():
        runs = [train(TrainingRequest(**{**request.to_dict(), "seed": seed})) for seed in seeds]
        curves[name] = [[(p.step / run.history[-1].step, p.lowest, p.mean) for p in run.history] for run in runs]
    title = (
        f"Two deep linear networks, seeds {', '.join(map(str, seeds))}: the lowest alignment of any two hidden layers"
    )
    path.write_bytes(history_figure(curves, title, "kernel alignment"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--descent", action="store_true")
    parser.add_argument("--cost", action="store_true")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="of --cost; a GPU where there is one")
    parser.add_argument("--small", action="store_true", help="of --cost: a moment's work, to see that all of it runs")
    parser.add_argument("--picture", type=Path)
    asked = parser.parse_args()
    there = torch.cuda.is_available()
    if asked.device == "cuda" and not there:
        parser.error("there is no CUDA device here; --device cpu prints the CPU's")
    torch.set_num_threads(1)
    if asked.picture is not None:
        picture(asked.picture, asked.seeds)
    elif asked.cost:
        cost(asked.device or ("cuda" if there else "cpu"), small=asked.small)
    elif not show(asked.seeds, descent_alone if asked.descent else rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()

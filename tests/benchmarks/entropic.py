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
import math
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
from alignment.errors import DivergenceError
from alignment.report.history_figure import history_figure
from tests.entropic import bars
from tests.entropic.networks import Transformer

SEEDS = (0, 1, 2, 3, 4, 7)
Row = tuple[str, Sequence[float], str, Callable[[float], bool]]


def ratio(balance: bars.Balance) -> float:
    return max(balance.layers.values()) / min(balance.layers.values())


def rows(seeds: Sequence[int]) -> list[Row]:
    """Each bar: what it is, its value for each seed, the bar in words, and whether a value holds it."""
    pairs = [bars.linear_pair(seed) for seed in seeds]
    entropic, plain = [pair[0] for pair in pairs], [pair[1] for pair in pairs]

    def worst(name: str) -> list[list[float]]:
        return [[getattr(m.prediction, name) for m in result.members] for result in entropic]

    found: list[Row] = [
        ("linear, entropic: 1 - lowest alignment", [1 - r.lowest for r in entropic], "< 1e-4", lambda v: v < 1e-4),
        ("  the same, CKA", [1 - r.extra["cka_min"] for r in entropic], "< 1e-4", lambda v: v < 1e-4),
        ("linear, plain: lowest alignment", [r.lowest for r in plain], "< 0.95", lambda v: v < 0.95),
        (
            "  1 - alignment, plain over entropic",
            [(1 - p.lowest) / (1 - e.lowest) for e, p in zip(entropic, plain, strict=True)],
            "> 1e3",
            lambda v: v > 1e3,
        ),
        ("kernel, 1 - alignment with (4.1)", [max(v) for v in worst("kernel_error")], "< 1e-3", lambda v: v < 1e-3),
        ("E|g|² over 4DT (4.2), lowest", [min(v) for v in worst("entropy_ratio")], "> 0.95", lambda v: v > 0.95),
        ("  highest", [max(v) for v in worst("entropy_ratio")], "< 1.01", lambda v: v < 1.01),
        ("trace over (5.1), lowest", [min(v) for v in worst("sharpness_ratio")], "> 0.95", lambda v: v > 0.95),
        ("  highest", [max(v) for v in worst("sharpness_ratio")], "< 1.01", lambda v: v < 1.01),
        ("layer imbalance", [r.history[-1].layer or 0.0 for r in entropic], "< 2e-2", lambda v: v < 2e-2),
        ("processor seconds a pair, entropic", [r.seconds for r in entropic], "< 60", lambda v: v < 60),
    ]
    found += descent(seeds, [result.lowest for result in plain])
    for name, widths, bias in (("[6,12,2]", (6, 12, 2), True), ("[6,8,8,2], no bias", (6, 8, 8, 2), False)):
        made = [bars.relu(seed, widths, bias=bias) for seed in seeds]
        masses = [(r.entropic.neuron or 0.0, r.plain.neuron or 0.0) for r in made]
        found.append((f"ReLU {name}: unit imbalance", [e for e, _ in masses], "< 0.2", lambda v: v < 0.2))
        found.append(("  over plain Adam's", [e / p for e, p in masses], "< 0.5", lambda v: v < 0.5))
        if not bias:
            found.append(
                ("  layers, largest over smallest", [ratio(r.entropic) for r in made], "< 1.2", lambda v: v < 1.2)
            )
    sharp = {condition: [bars.sharpness(seed, condition) for seed in seeds] for condition in (1.0, 4.0, 25.0, 100.0)}
    for condition, values in sharp.items():
        own = [max((o for o, _ in v), key=lambda x: abs(x - 1)) for v in values]
        found.append((f"noise condition {condition:g}: trace over (5.1)", own, "±0.05", lambda v: abs(v - 1) < 0.05))
        if condition == 1.0:
            flat = [max(abs(f - 1) for _, f in v) for v in values]
            found.append(("  |trace over flattest - 1|", flat, "< 0.02", lambda v: v < 0.02))
        else:
            flat = [min(f for _, f in v) for v in values]
            least = 1.1 if condition >= 25 else 1.0
            found.append(("  trace over flattest", flat, f"> {least}", lambda v, least=least: v > least))
    for what, least in bars.BROKEN.items():
        values = [bars.breakage(seed, what) for seed in seeds]
        found.append((f"broken by {what}: 1 - alignment", values, f"> {least:g}", lambda v, least=least: v > least))
    for what in bars.CONTROLS:
        values = [bars.breakage(seed, what) for seed in seeds]
        found.append((f"not broken by {what}", values, "< 1e-4", lambda v: v < 1e-4))
    return found


def descent(seeds: Sequence[int], plain: Sequence[float]) -> list[Row]:
    """What real stochastic descent adds to plain descent's lowest alignment; -inf where a network diverges."""
    return [
        _gained(f"real SGD, {steps:,} steps", lambda seed, steps=steps: bars.sgd_pair(seed, steps).lowest, seeds, plain)
        for steps in (60_000, 240_000)
    ]


def _gained(name: str, way: Callable[[int], float], seeds: Sequence[int], plain: Sequence[float]) -> Row:
    gains = []
    for seed, before in zip(seeds, plain, strict=True):
        try:
            gains.append(way(seed) - before)
        except DivergenceError:
            gains.append(-math.inf)
    return f"{name}: gain of lowest alignment", gains, "> 0.1", lambda v: v > 0.1


def descent_alone(seeds: Sequence[int]) -> list[Row]:
    """The same without the other bars, between plain descent and a rate of 0.003 whatever the rows' curvature."""
    plain = [train(TrainingRequest(objective="plain", seed=seed)).lowest for seed in seeds]
    fixed = _gained("rate fixed, 60,000 steps", lambda seed: bars.fixed_rate(seed, 60_000), seeds, plain)
    return [("plain: lowest alignment", plain, "< 0.9", lambda v: v < 0.9), *descent(seeds, plain), fixed]


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

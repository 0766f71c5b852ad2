"""Acceptance: each bar of entropic training over several seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from alignment.entropic.balance import Balance
from alignment.entropic.recipes import TrainingRequest, train
from alignment.errors import DivergenceError
from tests.entropic import bars
from tests.entropic.exact import Exact

Row = tuple[str, Sequence[float], str, Callable[[float], bool]]


def ratio(balance: Balance) -> float:
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
    for name, widths, bias, steps in (
        ("[6,12,2]", (6, 12, 2), True, 5_000),
        ("[6,8,8,2], no bias", (6, 8, 8, 2), False, 5_000),
        ("[6,8,8,2], no bias, 20,000 steps", (6, 8, 8, 2), False, 20_000),
    ):
        made = [bars.relu(seed, widths, bias=bias, steps=steps) for seed in seeds]
        masses = [(r.entropic.neuron or 0.0, r.plain.neuron or 0.0) for r in made]
        found.append((f"ReLU {name}: unit imbalance", [e for e, _ in masses], "< 0.2", lambda v: v < 0.2))
        found.append(("  over plain Adam's", [e / p for e, p in masses], "< 0.5", lambda v: v < 0.5))
        if not bias:
            found.append(
                ("  layers, largest over smallest", [ratio(r.entropic) for r in made], "< 1.2", lambda v: v < 1.2)
            )
    found += exact(seeds)
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


def exact(seeds: Sequence[int]) -> list[Row]:
    """What holds to rounding: rebalancing, the Noether identity and ghost norms; and the local order."""
    made = [Exact.of(seed) for seed in seeds]
    gained, without = [m.slopes[0] for m in made], [m.slopes[1] for m in made]
    return [
        ("rebalanced: largest imbalance of a live unit", [m.units for m in made], "< 1e-10", lambda v: v < 1e-10),
        ("  of an attention head", [m.heads for m in made], "< 1e-7", lambda v: v < 1e-7),
        ("  change of the function", [m.change for m in made], "< 1e-10", lambda v: v < 1e-10),
        ("  E|g|² over that before", [m.lowered for m in made], "at most 1", lambda v: v <= 1),
        ("Noether identity, ReLU units: error", [m.unit_charge for m in made], "< 1e-10", lambda v: v < 1e-10),
        ("  attention heads", [m.head_charge for m in made], "< 1e-8", lambda v: v < 1e-8),
        ("ghost norms over per-sample, error", [m.ghost for m in made], "< 1e-10", lambda v: v < 1e-10),
        ("local order with the entropy", gained, "2.8 to 3.1", lambda v: 2.8 <= v <= 3.1),
        ("  without", without, "1.85 to 2.1", lambda v: 1.85 <= v <= 2.1),
    ]


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

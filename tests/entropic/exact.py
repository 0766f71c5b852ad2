"""Exact: the bars 4 to 7, what holds to rounding and the local order, one seed a call."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from alignment.entropic.estimators import GhostNorm, PerSample
from alignment.entropic.local_order import local_order
from alignment.entropic.noether import noether
from alignment.entropic.rebalance import rebalance
from alignment.entropic.sampling import Sampling
from tests.entropic.networks import KINDS, attention_problem, problem, relu_problem, tanh_problem


@dataclass(frozen=True)
class Exact:
    """What small networks of random weights come to.

    Attributes:
        units: the largest imbalance of a live unit behind rebalancing, with biases or without.
        heads: of an attention head.
        change: how much an output moved by it, relative to the largest.
        lowered: E‖g‖² behind it over that before.
        unit_charge: the Noether identity's relative error for ReLU units, at a step of 0.3.
        head_charge: for heads.
        ghost: ghost norms against the oracle's E‖g‖², relative; of all kinds of networks the largest.
        slopes: of the step's distance from the flow, with the entropy and without.
    """

    units: float
    heads: float
    change: float
    lowered: float
    unit_charge: float
    head_charge: float
    ghost: float
    slopes: tuple[float, float]

    @classmethod
    def of(cls, seed: int) -> Exact:
        """Of networks of that seed."""
        charges = {"unit": 0.0, "head": 0.0}
        for made, decay in product((relu_problem(seed), attention_problem(seed)), (0.0, 0.03)):
            for check in noether(made, 0.3, decay):
                of = "unit" if check.kind == "unit" else "head"
                charges[of] = max(charges[of], check.error)
        ghost = 0.0
        for kind in KINDS:
            made = problem(kind, seed=seed)
            truth = float(PerSample().value(made, Sampling()))
            ghost = max(ghost, abs(float(GhostNorm().value(made, Sampling())) / truth - 1))
        relu = [rebalance(relu_problem(seed, bias=bias), Sampling(1, "all")) for bias in (True, False)]
        attention = rebalance(attention_problem(seed), Sampling(1, "all"))
        return cls(
            units=max(unit.largest for done in relu for unit in done.after.units),
            heads=attention.after.attention or 0.0,
            change=max(done.function_change for done in (*relu, attention)),
            lowered=max(done.after.square / done.before.square for done in (*relu, attention)),
            unit_charge=charges["unit"],
            head_charge=charges["head"],
            ghost=ghost,
            slopes=local_order(tanh_problem(seed)).slopes,
        )

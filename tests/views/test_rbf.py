"""A bandwidth is a distance between items, and never the rounding of one."""

import numpy as np
import pytest
import torch

from alignment.activations import Activations, Origin
from alignment.calibration import Calibration
from alignment.comparison import Scoring, score
from alignment.metrics import MetricChoice, parse_metrics
from tests.metrics import oracles
from tests.metrics.support import views

N, D = 200, 384
WHOLE = 4 * N**2  # bytes of one matrix in float32
BUDGETS = pytest.mark.parametrize("budget", [1 << 30, WHOLE // 2], ids=["whole", "tiles"])


def crowd(share):
    """Items of which a share is one and the same, on a sphere as preprocessing leaves them, and others of N(0, 1)."""
    random = np.random.default_rng(52)
    x, y = random.normal(size=(2, N, D))
    x[: round(share * N)] = x[0]
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32).astype(float), y.astype(np.float32)


@BUDGETS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("share", [0.6, 0.68, 0.72, 0.75])
def test_identical_items_are_at_no_distance(share, dtype, budget):
    x, y = crowd(share)
    differences = np.stack([np.sum((x - row) ** 2, axis=1) for row in x])
    zero = np.sort(differences.ravel())[(N * N - 1) // 2] == 0
    assert zero == (share > 0.7071)  # half of all pairs are of identical items
    choice = MetricChoice.parse("cka:kernel=rbf")
    sides = (views([z], dtype=dtype, budget=budget) for z in (x, y))
    found = float(choice.metric.pair(*sides, choice.values).observed())
    expected = np.nan if zero else oracles.cka(x, y.astype(float), kernel="rbf")
    assert found == pytest.approx(expected, abs=choice.metric.tolerance, nan_ok=True)


@BUDGETS
def test_a_layer_of_mostly_one_item_has_no_score_and_says_so(budget):
    a, b = (Activations(("layer",), (torch.tensor(z).float(),), None, Origin("x", "x")) for z in crowd(0.75))
    scoring = Scoring(parse_metrics(["cka:kernel=rbf"]), calibration=Calibration(19, 0), budget=budget)
    report = score(a, b, scoring)
    assert report.metrics[0].best is None
    assert report.metrics[0].grid == ((None,),)
    assert "undefined_score" in [warning.code for warning in report.warnings]


@BUDGETS
@pytest.mark.parametrize("key", ["cka:kernel=rbf", "unbiased_cka:kernel=rbf", "cka:kernel=rbf,bandwidth=0.3"])
@pytest.mark.parametrize("far", [22_000.0, 300.0])
def test_an_item_far_out_takes_no_digit_from_the_distances_of_the_others(far, key, budget):
    """Its weight moves the mean so far away that float32 squares leave nothing of the distances among the rest."""
    random = np.random.default_rng(53)
    x, y = (random.normal(size=(N, 12)).astype(np.float32) for _ in "xy")
    y += 0.5 * x
    x[3, 5] = far
    choice = MetricChoice.parse(key)
    sides = (views([side], budget=budget) for side in (x, y))
    found = float(choice.metric.pair(*sides, choice.values).observed())
    oracle = getattr(oracles, choice.metric.name)
    expected = oracle(x.astype(float), y.astype(float), **choice.values)
    assert found == pytest.approx(expected, abs=choice.metric.tolerance)

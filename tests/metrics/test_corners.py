"""Corners where a number could be made up: extreme scales, rounding taken for dependence, what does not fit."""

import numpy as np
import pytest
import torch

from alignment.activations import Activations, Origin
from alignment.calibration import Calibration
from alignment.comparison import Scoring, score
from alignment.metrics import METRICS, MetricChoice, parse_metrics
from alignment.preprocessing import Preprocessing, prepare
from alignment.views import nearest_neighbours
from alignment.views.stack import GIBIBYTE
from tests.metrics.support import PLAIN, grid, stacks

UNCALIBRATED = Calibration(permutations=0, resamples=0)


def layer_of(x, dtype=torch.float32):
    return Activations(("layer",), (torch.as_tensor(x).to(dtype),), None, Origin("x", "x"))


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("scale", [2.0**60, 2.0**-60, 1e18, 1e-18])
def test_no_scale_is_too_large_or_too_small(name, scale):
    a, b = stacks(60, 12, 14, layers=(1, 2), seed=31)
    choice = MetricChoice.of(name)
    expected = grid(choice, a, b)
    np.testing.assert_allclose(grid(choice, [x * scale for x in a], b), expected, atol=2e-5, rtol=0)
    if choice.metric.tolerance <= 1e-12 and np.log2(scale) % 1 == 0:
        np.testing.assert_array_equal(grid(choice, [x * scale for x in a], b), expected)


def test_float64_far_beyond_float32_is_normalised_all_the_same():
    x = np.random.default_rng(32).normal(size=(50, 6))
    plain, huge = (layer_of(x * s, torch.float64) for s in (1.0, 1e200))
    report = score(plain, huge, Scoring(metrics=parse_metrics(["mutual_knn", "cka"]), calibration=UNCALIBRATED))
    assert [m.best.score for m in report.metrics] == pytest.approx([1, 1])


@pytest.mark.parametrize("n", [20, 40, 50, 60])
@pytest.mark.parametrize("name", ["unbiased_cka", "cknna"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_layer_that_depends_on_nothing_has_no_score(name, dtype, n):
    turned = np.linalg.qr(np.random.default_rng(n).normal(size=(n, n)))[0]
    for x in (np.eye(n), turned):  # every off-diagonal product is zero, or rounding
        assert np.isnan(grid(MetricChoice.of(name), [x], [x], dtype=dtype)).all()


def test_rows_that_nearly_all_point_one_way_are_still_told_apart():
    x = np.random.default_rng(33).normal(size=(300, 32)).astype(np.float32)
    x[:, 0] = 3000  # products agree to seven digits, so that float32 leaves every pair in question
    layer = prepare(torch.tensor(x), PLAIN)
    found = nearest_neighbours(layer, 10, budget=GIBIBYTE)[0].numpy()
    wide = x.astype(np.float64)
    products = wide @ wide.T - 1e12 * np.eye(300)
    np.testing.assert_array_equal(found, np.argsort(-products, axis=1, kind="stable")[:, :10])


def test_a_metric_that_does_not_fit_is_null_and_the_others_are_there():
    a, b = stacks(200, 6, 6, layers=(1, 1), seed=34)
    scoring = Scoring(
        metrics=parse_metrics(["rsa", "rsa:correlation=pearson", "cka:kernel=rbf", "mutual_knn"]),
        budget=50_000,
        calibration=UNCALIBRATED,
    )
    report = score(layer_of(a[0]), layer_of(b[0]), scoring)
    assert [m.best is None for m in report.metrics] == [True, False, False, False]
    assert report.metrics[0].grid == ((None,),)
    assert [w.code for w in report.warnings] == ["over_budget"]


def test_what_clipping_took_away_is_not_called_constant():
    report = score(layer_of(np.eye(60, 40)), layer_of(np.eye(60, 40)), Scoring(calibration=UNCALIBRATED))
    assert {w.code for w in report.warnings} == {"clipped_away"}


def test_a_half_precision_layer_with_a_large_offset_is_not_constant():
    x = 0.5 * np.random.default_rng(35).normal(size=(80, 64))
    x[:, 0] = 22000
    scoring = Scoring(
        metrics=parse_metrics(["cka"]), preprocess=Preprocessing(clip=None, normalize=False), calibration=UNCALIBRATED
    )
    assert score(layer_of(x, torch.bfloat16), layer_of(x, torch.bfloat16), scoring).metrics[
        0
    ].best.score == pytest.approx(1)

"""The interval of the best score: it covers what it says, and comes from the seed alone."""

import numpy as np
import pytest
import torch

from alignment.activations import Activations, Origin
from alignment.calibration import Calibration, best_interval
from alignment.comparison import Scoring, score
from alignment.metrics import METRICS, MetricChoice, parse_metrics
from alignment.preprocessing import Preprocessing
from alignment.views import copies
from tests.benchmarks.coverage import NOISE, simulate
from tests.metrics.support import stacks, views

INTERVALS = [metric.name for metric in METRICS.values() if metric.interval]


def interval(seed, *, metric="cka", items=80, same=False):
    a, b = stacks(items, 8, 8, layers=(2, 2), seed=1)
    choice = MetricChoice.of(metric)
    pairing = choice.metric.pair(views(a), views(a if same else b), choice.values)
    return best_interval(
        pairing, pairing.observed(), items, draws=200, level=0.95, seed=seed, bounds=choice.metric.range
    ), pairing.observed()


def test_the_metrics_that_have_one_are_those_it_was_simulated_for():
    assert INTERVALS == ["mutual_knn", "cka", "unbiased_cka"]


@pytest.mark.parametrize("setting", NOISE)
@pytest.mark.parametrize("metric", INTERVALS)
def test_a_nominal_95_percent_covers_at_least_92(metric, setting):
    found = simulate(metric, setting, items=100, replicates=100, truths=150)
    assert found.covered >= 0.92
    assert found.width / found.oracle < 2  # the benchmark prints it to the second digit, from many more replicates


@pytest.mark.parametrize("metric", INTERVALS)
def test_it_holds_the_best_score_and_the_seed_decides_it(metric):
    found, observed = interval(3, metric=metric)
    assert found[0] < float(observed.max()) < found[1]
    assert found == interval(3, metric=metric)[0]
    assert found != interval(4, metric=metric)[0]


def test_there_is_none_for_few_items():
    assert interval(0, metric="cka", items=29)[0] is None


def test_a_layer_against_itself_is_sure():
    found, _ = interval(0, same=True)
    assert found == pytest.approx((1.0, 1.0), abs=1e-6)


def test_an_undefined_cell_takes_no_part():
    a, b = stacks(80, 8, 8, layers=(2, 2), seed=1)
    choice = MetricChoice.of("cka")
    pairing = choice.metric.pair(views(a), views(b), choice.values)
    observed = pairing.observed()
    observed[0, 0] = torch.nan
    found = best_interval(pairing, observed, 80, draws=100, level=0.95, seed=0, bounds=(-1.0, 1.0))
    assert found[0] < float(observed[~observed.isnan()].max()) < found[1]


def test_items_that_are_there_twice_say_no_more_than_once():
    """CKA of items each there twice is that of each once, and so is what is known of it."""
    sides = stacks(80, 8, 8, layers=(2, 2), seed=1)
    choice, found = MetricChoice.of("cka"), []
    for times in (1, 2):
        a, b = (views([np.tile(x, (times, 1)) for x in side]) for side in sides)
        pairing = choice.metric.pair(a, b, choice.values)
        more = {"draws": 200, "level": 0.95, "seed": 0, "bounds": (0.0, 1.0)}
        same = copies([*a.layers, *b.layers])
        found.append(best_interval(pairing, pairing.observed(), 80 * times, copies=same, **more))
    assert found[1] == pytest.approx(found[0], abs=1e-6)
    unaware = best_interval(pairing, pairing.observed(), 160, **more)
    assert unaware[1] - unaware[0] < 0.8 * (found[1][1] - found[1][0])


def test_a_report_counts_items_that_are_there_twice_once():
    x, y = (torch.tensor(np.tile(side[0], (2, 1))) for side in stacks(29, 8, 8, layers=(1, 1), seed=1))
    a, b = (Activations(("l",), (z,), None, Origin("x", "")) for z in (x, y))
    scoring = Scoring(parse_metrics(["cka"]), preprocess=Preprocessing(clip=None), calibration=Calibration(0, 50))
    report = score(a, b, scoring)
    assert report.metrics[0].best.interval is None
    assert [w.detail for w in report.warnings] == ["no interval for cka: it takes 30 items or more that differ"]
    changed = Activations(("l",), (y + torch.arange(58).unsqueeze(1) * 1e-3,), None, Origin("y", ""))
    assert score(a, changed, scoring).metrics[0].best.interval is not None  # what one side tells apart is no copy

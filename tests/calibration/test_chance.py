"""Chance: the definitions, and the property that uncalibrated scores lack: unrelated models do not look alike."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import binomtest, kstest

from alignment.activations import Activations, Origin
from alignment.calibration import ALPHA, Calibration, against_chance, maximum, null_scores
from alignment.comparison import Scoring, score
from alignment.errors import RequestError
from alignment.metrics import METRICS, MetricChoice, parse_metrics
from alignment.preprocessing import Preprocessing
from tests.benchmarks.tails import LEVELS, simulate
from tests.metrics.support import stacks, views

CALIBRATED = ("mutual_knn", "cka", "unbiased_cka")


def quiet(stage, done, total):
    pass


def activations(layers, name="x"):
    names = tuple(f"layer.{i}" for i in range(len(layers)))
    return Activations(names, tuple(torch.tensor(x, dtype=torch.float32) for x in layers), None, Origin(name, name))


def independent(seed, *, n=30, depth=2, width=8):
    random = np.random.default_rng([41, seed])
    latents = [random.normal(size=(n, 4)) for _ in "ab"]  # layers of one model are alike, those of two models are not
    return [
        [z @ random.normal(size=(4, width)) + 0.5 * random.normal(size=(n, width)) for _ in range(depth)]
        for z in latents
    ]


def best_of(seed, metric, *, permutations=39, **shape):
    a, b = independent(seed, **shape)
    scoring = Scoring(
        metrics=parse_metrics([metric]), seed=seed, calibration=Calibration(permutations=permutations, resamples=0)
    )
    return score(activations(a), activations(b), scoring).metrics[0].best


def test_the_numbers_are_their_definitions():
    observed, metric = torch.tensor([0.5, 0.2]), METRICS["mutual_knn"]
    null = torch.tensor([[0.1 * i, 0.2] for i in range(10)])
    chance = against_chance(observed, null, metric)
    for cell in range(2):
        values = null[:, cell].tolist()
        s = float(observed[cell])
        pooled = sorted([*values, s])
        tau = pooled[math.ceil((1 - ALPHA) * 11) - 1]
        assert float(chance.p[cell]) == pytest.approx((1 + sum(v >= s for v in values)) / 11)
        assert float(chance.threshold[cell]) == pytest.approx(tau)
        assert float(chance.calibrated[cell]) == pytest.approx(max(0.0, (s - tau) / (1 - tau)))
        assert float(chance.mean[cell]) == pytest.approx(sum(values) / 10)


def test_undefined_stays_undefined_and_takes_no_part_in_the_maximum():
    null = torch.tensor([[[0.1, math.nan], [0.3, 0.2]]])
    assert maximum(null).tolist() == pytest.approx([0.3])
    chance = against_chance(torch.tensor([math.nan]), torch.tensor([[math.nan]]), METRICS["cka"])
    assert all(torch.isnan(value).all() for value in (chance.mean, chance.threshold, chance.calibrated, chance.p))


def test_one_permutation_serves_the_whole_grid_and_the_seed_decides_it():
    a, b = stacks(40, 6, 6, layers=(2, 2), seed=3)
    choice = MetricChoice.of("mutual_knn")
    pairing = choice.metric.pair(views(a), views([b[0], b[0]]), choice.values)
    draws = [null_scores(pairing, 40, 5, seed=seed, device=torch.device("cpu"), progress=quiet) for seed in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert torch.equal(draws[0][:, :, 0], draws[0][:, :, 1])  # the same layer twice, under the same permutations


@pytest.mark.parametrize("metric", CALIBRATED)
def test_unrelated_models_do_not_look_alike(metric):
    found = [best_of(seed, metric) for seed in range(500)]
    p = np.array([best.p_value for best in found])
    for level in (0.025, 0.05, 0.1, 0.25, 0.5):
        low = int((p <= level + 1e-12).sum())
        assert binomtest(low, 500, level, alternative="greater").pvalue > 0.001, (metric, level, low)
    assert np.mean([best.calibrated == 0 for best in found]) >= 0.92


@pytest.mark.parametrize("metric", CALIBRATED)
def test_p_is_uniform_once_ties_are_broken_at_random(metric):
    random, ranks = np.random.default_rng(5), []
    for seed in range(300):
        a, b = independent(10_000 + seed)
        choice = MetricChoice.of(metric)
        steps = Preprocessing(clip=None, normalize=True)
        pairing = choice.metric.pair(views(a, steps=steps), views(b, steps=steps), choice.values)
        null = maximum(null_scores(pairing, 30, 39, seed=seed, device=torch.device("cpu"), progress=quiet)).numpy()
        top = float(pairing.observed().max())
        above, equal = (null > top + 1e-9).sum(), (abs(null - top) <= 1e-9).sum()
        ranks.append((above + random.uniform() * (equal + 1)) / 40)
    assert kstest(ranks, "uniform").pvalue > 0.001


@pytest.mark.parametrize("metric", CALIBRATED)
@pytest.mark.parametrize("larger", [{"width": 64}, {"depth": 8}], ids=["wider", "deeper"])
def test_a_larger_model_does_not_score_higher(metric, larger):
    small = [best_of(seed, metric).calibrated for seed in range(150)]
    large = [best_of(seed, metric, **larger).calibrated for seed in range(150)]
    assert np.mean(np.array(large) > 0) <= 0.05 + 3 * (0.05 * 0.95 / 150) ** 0.5
    assert abs(np.mean(large) - np.mean(small)) < 0.01


def test_a_p_from_moments_is_used_where_they_describe_the_null_and_only_there():
    a, b = stacks(120, 10, 10, layers=(2, 2), seed=6)
    scoring = Scoring(
        metrics=parse_metrics(["cka", "unbiased_cka", "mutual_knn"]),
        preprocess=Preprocessing(clip=None, normalize=False),
        calibration=Calibration(permutations=1999, resamples=0),
    )
    a[0] = np.random.default_rng(7).normal(size=(120, 10))  # one row of cells without dependence
    well = score(activations(a), activations(b), scoring)
    assert [m.null_method for m in well.metrics] == ["pearson_iii", "pearson_iii", "permutation"]
    for result in well.metrics[:2]:
        choice = MetricChoice.of(result.name)
        pairing = choice.metric.pair(views(a), views(b), choice.values)
        null = null_scores(pairing, 120, 1999, seed=1, device=torch.device("cpu"), progress=quiet)
        drawn = (1 + (null >= pairing.observed()).sum(dim=0)) / 2000
        np.testing.assert_allclose(np.array(result.p_grid), drawn.numpy(), atol=0.04)
    a[1][5] *= 200  # one item that dominates a layer
    spoilt = score(activations(a), activations(b), scoring)
    assert [m.null_method for m in spoilt.metrics] == ["permutation"] * 3


@pytest.mark.parametrize("key", ["cka", "unbiased_cka"])
@pytest.mark.parametrize("kind", ["Gaussian", "Student's t, 3 degrees", "rows of different length"])
def test_single_cells_p_is_super_uniform(kind, key):
    """529 unrelated pairs of layers, shuffled 200 times each; `python -m tests.benchmarks.tails` has more of both."""
    found = simulate(key, kind, items=80, layers=23, draws=200)
    assert found.draws > 1000
    assert found.trusted > 0.9 or kind != "Gaussian"
    for level, rate in zip(LEVELS, found.rates, strict=True):
        # an approximation: a fifth of a level, and what so many draws of pairs that share layers leave to chance
        assert rate <= 1.2 * level + 4 * (level / found.draws) ** 0.5, level


def test_what_a_dominant_item_would_do_to_it():
    found = simulate("unbiased_cka", "rows with t, 2 degrees, lengths", items=100, layers=23, draws=60)
    assert found.trusted < 0.02
    assert found.left[0] > 0.002  # twice as often as it says, had it not been left to permutations


@pytest.mark.parametrize(("permutations", "warned"), [(18, True), (19, False), (1, True), (0, False)])
def test_too_few_permutations_for_a_threshold_are_said_to_be(permutations, warned):
    a, _ = stacks(60, 6, 6, layers=(2, 2), seed=10)
    report = score(
        activations(a), activations(a), Scoring(calibration=Calibration(permutations=permutations, resamples=0))
    )
    assert [w.code for w in report.warnings] == ["few_permutations"] * warned
    calibrated = report.metrics[0].best.calibrated  # of a model with itself
    assert (calibrated or 0) > 0.5 or warned or not permutations
    assert calibrated == 0 or not warned


def test_a_null_beyond_the_budget_is_left_out_and_said_so():
    a, b = stacks(60, 6, 6, layers=(2, 2), seed=8)
    report = score(
        activations(a), activations(b), Scoring(calibration=Calibration(permutations=50, resamples=0, operations=10))
    )
    result = report.metrics[0]
    assert result.null_method is None
    assert result.p_grid is None
    assert result.best.p_value is None
    assert [w.code for w in report.warnings] == ["calibration_budget"]


def test_calibration_can_be_turned_off():
    a, b = stacks(60, 6, 6, layers=(2, 2), seed=9)
    report = score(activations(a), activations(b), Scoring(calibration=Calibration(permutations=0, resamples=0)))
    best = report.metrics[0].best
    assert (best.interval, best.null_mean, best.p_value, best.calibrated) == (None, None, None, None)
    assert report.warnings == ()


@pytest.mark.parametrize(
    "settings", [{"permutations": -1}, {"resamples": 10**6}, {"level": 1.0}, {"level": 0.0}, {"operations": 0}]
)
def test_settings_without_meaning_are_refused(settings):
    with pytest.raises(RequestError):
        Calibration(**settings)

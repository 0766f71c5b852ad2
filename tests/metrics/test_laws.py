"""The laws of the metric table: each fact in it is tried on every metric, and so is what it does not claim."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from alignment.metrics import METRICS, InfluencePairing, MetricChoice
from tests.metrics import oracles
from tests.metrics.support import grid, invariance, mixed_pair, stacks, views

CHOICES = [
    *[MetricChoice.of(name) for name in METRICS],
    *[
        MetricChoice.parse(text)
        for text in (
            "mutual_knn:k=3",
            "cka:kernel=rbf",
            "unbiased_cka:kernel=rbf,bandwidth=0.5",
            "rsa:correlation=pearson",
        )
    ],
]
EVERY = pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: choice.key)
# float32 inputs whose products are far from exact: what the metric documents, with room for the test's own rounding
SLACK = 1e-9


def test_every_metric_has_an_oracle():
    assert all(hasattr(oracles, name) for name in METRICS)


@EVERY
@pytest.mark.parametrize("shape", [(60, 24, 17), (40, 8, 90)], ids=str)
def test_each_cell_is_the_definition(choice, shape):
    a, b = stacks(*shape, layers=(3, 2), seed=1)
    expected = [[getattr(oracles, choice.metric.name)(x, y, **choice.values) for y in b] for x in a]
    np.testing.assert_allclose(grid(choice, a, b), expected, atol=choice.metric.tolerance + SLACK, rtol=0)


@EVERY
def test_float64_activations_are_measured_in_float64(choice):
    a, b = stacks(50, 20, 20, layers=(2, 2), seed=2)
    expected = [[getattr(oracles, choice.metric.name)(x, y, **choice.values) for y in b] for x in a]
    np.testing.assert_allclose(grid(choice, a, b, dtype=torch.float64), expected, atol=1e-10, rtol=0)


@EVERY
def test_sides_of_different_precision_are_compared_all_the_same(choice):
    a, b = stacks(64, 16, 20, layers=(2, 3), seed=16)
    order = torch.from_numpy(np.random.default_rng(17).permutation(64))
    for budget in (1 << 30, 40_000):
        if budget < 1 << 30 and not choice.metric.tiles(choice.values):
            continue
        wide, narrow = views(a, dtype=torch.float64, budget=budget), views(b, budget=budget)
        for one, other, x, y in ((wide, narrow, a, b), (narrow, wide, b, a)):
            pairing = choice.metric.pair(one, other, choice.values)
            expected = choice.metric.pair(views(x), views(y), choice.values)
            bound = 2 * choice.metric.tolerance + SLACK
            np.testing.assert_allclose(pairing.observed().numpy(), expected.observed().numpy(), atol=bound)
            np.testing.assert_allclose(pairing.permuted(order).numpy(), expected.permuted(order).numpy(), atol=bound)
            if isinstance(pairing, InfluencePairing):
                assert pairing.influences(torch.arange(64), 64).isfinite().all()
            pairing.null_moments()


@EVERY
def test_symmetry_is_as_claimed(choice):
    a, b = stacks(70, 12, 30, layers=(3, 2), seed=3)
    there, back = grid(choice, a, b), grid(choice, b, a).T
    same = np.allclose(there, back, atol=2 * choice.metric.tolerance + SLACK, rtol=0)
    assert same == choice.metric.symmetric


@EVERY
def test_a_layer_is_its_own_best_match(choice):
    a, _ = stacks(64, 16, 16, layers=(3, 1), seed=4)
    scores = grid(choice, a, a)
    if choice.metric.self_score is not None:
        np.testing.assert_allclose(scores.diagonal(), choice.metric.self_score, atol=choice.metric.tolerance + SLACK)
    if choice.metric.bounded:
        assert (scores <= scores.diagonal().max() + choice.metric.tolerance + SLACK).all()


@EVERY
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(30, 60), width=st.integers(2, 12), shared=st.floats(0, 1))
def test_scores_stay_in_range(choice, seed, n, width, shared):
    x, y = mixed_pair(n, width, shared, seed)
    low, high = choice.metric.range
    score = grid(choice, [x], [y])[0, 0]
    assert math.isnan(score) or low <= score <= high or not choice.metric.bounded


@EVERY
@pytest.mark.parametrize("change", ["orthogonal", "scaling", "translation", "row_scaling", "column_scaling"])
def test_invariances_are_those_claimed_and_no_others(choice, change):
    a, b = stacks(80, 20, 20, layers=(2, 2), seed=5)
    changed = [invariance(change, x, seed=6) for x in a]
    before, after = grid(choice, a, b, dtype=torch.float64), grid(choice, changed, b, dtype=torch.float64)
    same = np.allclose(before, after, atol=1e-8, rtol=0)
    assert same == (change in choice.metric.invariances)


@EVERY
def test_relabelling_both_sides_alike_changes_nothing(choice):
    if choice.metric.ordered:
        pytest.skip(f"{choice.key} splits items by their place")
    a, b = stacks(60, 14, 22, layers=(2, 2), seed=7)
    order = np.random.default_rng(8).permutation(60)
    after = grid(choice, [x[order] for x in a], [y[order] for y in b])
    np.testing.assert_allclose(after, grid(choice, a, b), atol=2 * choice.metric.tolerance + SLACK, rtol=0)


@EVERY
def test_a_permuted_grid_is_the_grid_of_permuted_items(choice):
    for layers in ((3, 2), (2, 3)):  # either side may be the smaller, which is the one that is moved
        a, b = stacks(60, 14, 22, layers=layers, seed=9)
        order = np.random.default_rng(10).permutation(60)
        pairing = choice.metric.pair(views(a), views(b), choice.values)
        moved = pairing.permuted(torch.from_numpy(order)).numpy()
        np.testing.assert_allclose(
            moved, grid(choice, a, [y[order] for y in b]), atol=2 * choice.metric.tolerance + SLACK, rtol=0
        )


@EVERY
def test_the_identity_permutation_is_the_observed_grid(choice):
    a, b = stacks(60, 14, 22, layers=(2, 3), seed=11)
    pairing = choice.metric.pair(views(a), views(b), choice.values)
    np.testing.assert_allclose(
        pairing.permuted(torch.arange(60)).numpy(), pairing.observed().numpy(), atol=2 * choice.metric.tolerance + SLACK
    )


@EVERY
@pytest.mark.parametrize("widths", [(14, 22), (250, 280)], ids=["narrow", "wide"])  # through features, through tiles
def test_blocking_changes_nothing_beyond_the_tolerance(choice, widths):
    if not choice.metric.tiles(choice.values):
        pytest.skip(f"{choice.key} ranks all pairs of a layer at once, and refuses a smaller budget")
    a, b = stacks(300, *widths, layers=(3, 2), seed=12)
    order = torch.from_numpy(np.random.default_rng(13).permutation(300))
    whole = choice.metric.pair(views(a), views(b), choice.values)
    tiled = choice.metric.pair(views(a, budget=50_000), views(b, budget=50_000), choice.values)
    bound = 2 * choice.metric.tolerance + SLACK
    if isinstance(whole, InfluencePairing):
        group = torch.arange(300) % 9
        assert isinstance(tiled, InfluencePairing)
        np.testing.assert_allclose(tiled.influences(group, 9).numpy(), whole.influences(group, 9).numpy(), atol=bound)
    np.testing.assert_allclose(tiled.observed().numpy(), whole.observed().numpy(), atol=bound, rtol=0)
    np.testing.assert_allclose(tiled.permuted(order).numpy(), whole.permuted(order).numpy(), atol=bound, rtol=0)


@EVERY
def test_a_degenerate_layer_has_no_score_and_spoils_no_other(choice):
    a, b = stacks(60, 14, 22, layers=(3, 2), seed=14)
    expected = grid(choice, a, b)
    constant, broken = a[0].copy(), a[1].copy()
    constant[:] = constant[0]
    broken[7, 3] = np.nan
    after = grid(choice, [constant, broken, a[2]], b)
    assert np.isnan(after[:2]).all()
    np.testing.assert_allclose(after[2], expected[2], atol=1e-12, rtol=0)


@EVERY
def test_an_items_influence_is_what_its_absence_changes(choice):
    a, b = stacks(150, 14, 22, layers=(3, 2), seed=15)
    n, pairing = 150, choice.metric.pair(views(a), views(b), choice.values)
    assert isinstance(pairing, InfluencePairing) == choice.metric.interval
    if not isinstance(pairing, InfluencePairing):
        return
    single = pairing.influences(torch.arange(n), n).numpy()
    np.testing.assert_allclose(single.sum(axis=0), 0, atol=1e-6)
    whole = grid(choice, a, b)
    left = [np.delete(np.arange(n), i) for i in range(0, n, 5)]
    absence = np.stack([whole - grid(choice, [x[r] for x in a], [y[r] for y in b]) for r in left])
    for row, column in np.ndindex(3, 2):
        together = np.corrcoef(absence[:, row, column], single[::5, row, column])[0, 1]
        assert together > (0.6 if choice.metric.family == "neighbours" else 0.98)
    grouped = pairing.influences(torch.arange(n) % 7, 7).numpy()
    np.testing.assert_allclose(grouped, [single[g::7].sum(axis=0) for g in range(7)], atol=1e-7)

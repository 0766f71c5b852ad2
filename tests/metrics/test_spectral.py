"""What the laws of the table do not reach: rsa, and the metrics that decompose matrices, where numbers are awkward."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.stats
import torch

from alignment.errors import RequestError
from alignment.metrics import MetricChoice, subspace
from alignment.preprocessing import Preprocessing, prepare
from alignment.views import Basis
from tests.metrics import oracles
from tests.metrics.support import PLAIN, grid, stacks, views

RSA = [
    MetricChoice.parse(f"rsa:correlation={correlation},dissimilarity={dissimilarity}")
    for correlation in ("spearman", "pearson")
    for dissimilarity in ("sqeuclidean", "correlation")
]


@pytest.mark.parametrize("choice", RSA, ids=lambda choice: choice.key)
def test_rsa_is_the_definition_for_every_parameter(choice):
    a, b = stacks(70, 24, 17, layers=(2, 3), seed=20)
    expected = [[oracles.rsa(x, y, **choice.values) for y in b] for x in a]
    np.testing.assert_allclose(grid(choice, a, b), expected, atol=1e-6, rtol=0)


def test_equal_distances_tie_in_rsa():
    random = np.random.default_rng(21)
    x, y = (random.integers(0, 2, size=(60, 12)).astype(float) for _ in range(2))
    expected = oracles.rsa(x, y)
    broken = np.argsort(np.argsort(oracles._upper_triangle(x, "sqeuclidean"), kind="stable"))
    assert abs(np.corrcoef(broken, oracles._upper_triangle(y, "sqeuclidean"))[0, 1] - expected) > 1e-3
    assert grid(MetricChoice.of("rsa"), [x + 1000 / 3], [y])[0, 0] == pytest.approx(expected, abs=1e-6)


def test_distances_far_from_the_origin_keep_their_ranks():
    x, y = (side[0] for side in stacks(60, 24, 17, layers=(1, 1), seed=22))
    far = x + 1e6
    score = grid(MetricChoice.of("rsa"), [far], [y], dtype=torch.float64)[0, 0]
    assert score == pytest.approx(oracles.rsa(far, y), abs=1e-9)


def test_correlation_has_no_meaning_for_an_item_without_variation():
    a, b = stacks(40, 12, 9, layers=(2, 2), seed=23)
    a[0][5] = 0.1
    scores = grid(MetricChoice.parse("rsa:dissimilarity=correlation"), a, b)
    assert np.isnan(scores[0]).all()
    assert not np.isnan(scores[1]).any()


def test_items_that_are_all_alike_unlike_have_no_rsa():
    scores = grid(MetricChoice.of("rsa"), [np.eye(30)], [np.random.default_rng(24).normal(size=(30, 4))])
    assert np.isnan(scores).all()


def test_the_mean_of_rsa_over_permutations_is_zero():
    a, b = stacks(5, 12, 9, layers=(2, 2), seed=25)
    choice = MetricChoice.of("rsa")
    pairing = choice.metric.pair(views(a, dtype=torch.float64), views(b, dtype=torch.float64), choice.values)
    every = torch.stack([pairing.permuted(torch.tensor(order)) for order in itertools.permutations(range(5))])
    np.testing.assert_allclose(every.mean(dim=0), pairing.null_mean(), atol=1e-12)
    assert every.std(dim=0).min() > 0.1


def test_rsa_refuses_what_does_not_fit():
    a, b = stacks(80, 12, 9, layers=(1, 1), seed=27)
    choice = MetricChoice.of("rsa")
    with pytest.raises(RequestError, match="ranks of all pairs of 80 items need"):
        choice.metric.pair(views(a, budget=1000), views(b), choice.values)


@pytest.mark.parametrize("name", ["svcca", "pwcca"])
def test_constant_and_dependent_columns_are_no_dimensions(name):
    x, y = (side[0] for side in stacks(80, 12, 30, layers=(1, 1), seed=28))
    x[:, 3], x[:, 4], x[:, 5] = 7.25, x[:, 1], 2 * x[:, 0] - x[:, 2]
    expected = getattr(oracles, name)(x, y), getattr(oracles, name)(y, x)
    choice = MetricChoice.of(name)
    assert grid(choice, [x], [y])[0, 0] == pytest.approx(expected[0], abs=1e-6)
    assert grid(choice, [y], [x])[0, 0] == pytest.approx(expected[1], abs=1e-6)


def test_svcca_compares_as_many_directions_as_both_sides_have():
    random = np.random.default_rng(29)
    latent = random.normal(size=(60, 3))
    x, y = latent @ random.normal(size=(3, 20)), random.normal(size=(60, 15))
    assert grid(MetricChoice.of("svcca"), [x], [y], dtype=torch.float64)[0, 0] == pytest.approx(
        oracles.svcca(x, y), abs=1e-9
    )


def test_svcca_of_a_layer_with_itself_is_one_every_time():
    x = np.random.default_rng(30).normal(size=(64, 128))
    scores = [float(grid(MetricChoice.of("svcca"), [x], [x])[0, 0]) for _ in range(3)]
    assert scores == [scores[0]] * 3
    assert scores[0] == pytest.approx(1, abs=1e-12)


def test_pwcca_stops_where_dimension_alone_gives_correlations_of_one():
    random = np.random.default_rng(31)
    x, y, z = random.normal(size=(30, 14)), random.normal(size=(30, 15)), random.normal(size=(30, 16))
    scores = grid(MetricChoice.of("pwcca"), [x], [y, z])[0]
    assert scores[0] == pytest.approx(oracles.pwcca(x, y), abs=1e-6)
    assert np.isnan(scores[1])
    # what would have been returned: both together fill all dimensions that centred items have
    together = np.hstack([x - x.mean(axis=0), z - z.mean(axis=0)])
    assert np.linalg.matrix_rank(together) < x.shape[1] + z.shape[1]


@pytest.mark.parametrize("width", [20, 120])
def test_badly_conditioned_columns_have_an_orthonormal_basis_all_the_same(width):
    random = np.random.default_rng(32)
    scales = np.logspace(0, -5, 20)[:, None]  # eigenvalues down to 1e-10 of the largest
    x = random.normal(size=(90, 20)) @ (np.linalg.qr(random.normal(size=(width, 20)))[0].T * scales)
    basis = Basis.of(prepare(torch.tensor(x), PLAIN))
    vectors = basis.vectors().numpy()
    expected, values, _ = np.linalg.svd((x - x.mean(axis=0)) / x.std(axis=0), full_matrices=False)
    assert values[19] / values[0] < 1e-4
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(20), atol=1e-12)
    np.testing.assert_allclose(vectors @ (vectors.T @ expected[:, :20]), expected[:, :20], atol=1e-9)
    np.testing.assert_allclose(abs(np.sum(vectors * expected[:, :20], axis=0))[:10], 1, atol=1e-9)


@pytest.mark.parametrize("widths", [(12, 9), (90, 9), (12, 90), (90, 120)], ids=str)
def test_procrustes_of_layers_wider_than_items_are_many(widths):
    a, b = stacks(40, *widths, layers=(2, 2), seed=33)
    expected = [[oracles.procrustes(x, y) for y in b] for x in a]
    np.testing.assert_allclose(grid(MetricChoice.of("procrustes"), a, b), expected, atol=1e-9, rtol=0)


def test_layers_of_different_widths_stand_side_by_side():
    random = np.random.default_rng(34)
    a, b = ([random.normal(size=(70, width)) for width in widths] for widths in ((5, 12, 90), (8, 30)))
    for name in ("svcca", "pwcca", "procrustes", "linear_predictivity"):
        choice = MetricChoice.of(name)
        each = [[grid(choice, [x], [y])[0, 0] for y in b] for x in a]
        np.testing.assert_allclose(grid(choice, a, b), each, atol=1e-9, rtol=0)


def test_predictivity_of_a_linear_map_is_one_and_of_noise_none():
    random = np.random.default_rng(35)
    x, noise = random.normal(size=(200, 10)), random.normal(size=(200, 6))
    told = x @ random.normal(size=(10, 6)) + 3
    scores = grid(MetricChoice.of("linear_predictivity"), [x], [told, noise], dtype=torch.float64)[0]
    assert scores[0] > 1 - 1e-4  # the least penalty is 1e-3 of a row's squared norm
    assert -0.1 < scores[1] < 0.02


def test_the_seed_of_predictivity_shuffles_its_folds():
    a, b = stacks(50, 12, 9, layers=(1, 1), seed=36)
    first, second = (MetricChoice.parse(f"linear_predictivity:seed={seed}") for seed in (0, 1))
    assert grid(first, a, b)[0, 0] != grid(second, a, b)[0, 0]
    assert grid(second, a, b)[0, 0] == pytest.approx(oracles.linear_predictivity(a[0], b[0], seed=1), abs=1e-9)


def test_predictivity_picks_its_penalty_and_not_the_largest_or_least():
    random = np.random.default_rng(37)
    latent = random.normal(size=(60, 4))
    x = latent @ random.normal(size=(4, 80)) + random.normal(size=(60, 80)) * 2
    y = latent @ random.normal(size=(4, 7)) + random.normal(size=(60, 7))
    score = grid(MetricChoice.of("linear_predictivity"), [x], [y])[0, 0]
    assert score == pytest.approx(oracles.linear_predictivity(x.astype(np.float32).astype(float), y), abs=1e-6)
    assert score > 0.1


@pytest.mark.parametrize(
    ("text", "operations"),
    [("procrustes", 2 * 64 * 20 * 30 + 2 * 20**2 * 10 + 8 / 3 * 20**3), ("rsa", 64**2)],
)
def test_operations_count_a_cell(text, operations):
    choice = MetricChoice.parse(text)
    for layers in ((1, 1), (2, 3)):
        a, b = stacks(64, 20, 30, layers=layers, seed=38)
        pairing = choice.metric.pair(views(a), views(b), choice.values)
        assert pairing.operations == pytest.approx(operations * layers[0] * layers[1])


def test_pwcca_counts_nothing_where_it_has_no_score():
    a, b = stacks(30, 20, 15, layers=(2, 2), seed=39)
    choice = MetricChoice.of("pwcca")
    pairing = choice.metric.pair(views(a), views(b), choice.values)
    assert pairing.operations == 0
    assert torch.isnan(pairing.permuted(torch.arange(30))).all()


@pytest.mark.parametrize("shape", [(6, 6), (6, 9), (9, 6)], ids=str)
@pytest.mark.parametrize("lost", [0, 1, 3, 5])
def test_the_quicker_sum_of_singular_values_is_theirs(shape, lost):
    random = np.random.default_rng(40)
    some = []
    for size in (1.0, 1e-9):
        u, s, v = np.linalg.svd(random.normal(size=shape), full_matrices=False)
        s[len(s) - lost :] *= size * 1e-12
        some.append(u * s @ v)
    matrices = torch.tensor(np.stack(some))
    expected = torch.linalg.svdvals(matrices).sum(dim=1)
    torch.testing.assert_close(subspace._nearly_nuclear(matrices), expected, rtol=2e-7, atol=0)


def test_a_matrix_of_few_directions_is_decomposed_itself(monkeypatch):
    seen = []
    monkeypatch.setattr(subspace, "_nuclear", lambda matrices: seen.append(len(matrices)) or torch.zeros(len(matrices)))
    random = np.random.default_rng(41)
    flat = random.normal(size=(8, 2)) @ random.normal(size=(2, 8))
    subspace._nearly_nuclear(torch.tensor(np.stack([random.normal(size=(8, 8)), flat])))
    assert seen == [1]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("choice", RSA[:2], ids=lambda choice: choice.key)
def test_items_that_differ_in_length_alone_are_at_no_distance_once_rows_are_of_unit_norm(choice, seed):
    """Their unit rows differ by rounding, which is no order among those that tie at zero."""
    random = np.random.default_rng(seed)
    x, y = random.integers(-1, 2, size=(20, 4)).astype(float), random.normal(size=(20, 5))
    x[np.ptp(x, axis=1) == 0] = [1, 0, 0, -1]
    x *= random.integers(1, 4, size=(20, 1))
    rows = [side / np.linalg.norm(side, axis=1, keepdims=True) for side in (x, y)]
    one, other = (np.round(oracles._upper_triangle(side, choice.values["dissimilarity"]), 12) for side in rows)
    expected = scipy.stats.spearmanr(one, other).statistic
    sides = (views([side], dtype=torch.float64, steps=Preprocessing(clip=None)) for side in (x, y))
    assert float(choice.metric.pair(*sides, choice.values).observed()) == pytest.approx(expected, abs=1e-12)

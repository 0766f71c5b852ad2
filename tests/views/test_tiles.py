"""Views that do not fit are made in tiles, or some layers at a time: the same numbers, and never more memory."""

import numpy as np
import pytest
import torch

from alignment.metrics import MetricChoice
from alignment.preprocessing import prepare
from alignment.views.rbf import Rbf
from tests.metrics import oracles
from tests.metrics.support import PLAIN, grid, stacks, views
from tests.metrics.watch import Held

N = 700
WHOLE = 4 * N**2  # bytes of one matrix in float32


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("kind", ["plain", "lattice", "tiny", "half alike"])
@pytest.mark.parametrize("n", [2, 9, 300])
def test_the_median_over_tiles_is_the_lower_median_of_all_pairs(n, kind, dtype):
    random = np.random.default_rng(n)
    x = random.normal(size=(n, 5)) if kind != "lattice" else random.integers(-1, 2, size=(n, 2))
    x = x * 1e-20 if kind == "tiny" else x
    if kind == "half alike":
        x[: n // 2] = 0
    tiles = Rbf(prepare(torch.tensor(x).to(dtype), PLAIN), 1.0)
    wide = slice(None)
    upper = torch.cat([tiles._distances(rows, wide) for rows in tiles._strips()]).triu(1)
    assert torch.equal(tiles._lower_median(), (upper + upper.T).flatten().median())


@pytest.mark.parametrize("key", ["cka:kernel=rbf", "unbiased_cka:kernel=rbf,bandwidth=0.5", "rsa:correlation=pearson"])
@pytest.mark.parametrize("wide", [False, True])
def test_tiles_give_what_whole_matrices_give(key, wide):
    choice = MetricChoice.parse(key)
    a, b = stacks(300, 14, 22, layers=(3, 2), seed=41)
    dtype, slack = (torch.float64, 1e-12) if wide else (torch.float32, 1e-6)
    order = torch.from_numpy(np.random.default_rng(42).permutation(300))
    whole = choice.metric.pair(views(a, dtype=dtype), views(b, dtype=dtype), choice.values)
    for budgets in ((50_000, 50_000), (50_000, 1 << 30), (1 << 30, 50_000)):
        one, other = (views(x, dtype=dtype, budget=budget) for x, budget in zip((a, b), budgets, strict=True))
        tiled = choice.metric.pair(one, other, choice.values)
        np.testing.assert_allclose(tiled.observed(), whole.observed(), atol=slack, rtol=0)
        np.testing.assert_allclose(tiled.permuted(order), whole.permuted(order), atol=slack, rtol=0)
        assert tiled.operations > whole.operations  # tiles are formed anew for each permutation


@pytest.mark.parametrize("key", ["rsa", "rsa:dissimilarity=correlation", "rsa:correlation=pearson"])
def test_some_layers_at_a_time_give_what_all_give(key):
    choice = MetricChoice.parse(key)
    a, b = stacks(100, 14, 22, layers=(5, 3), seed=43)
    order = torch.from_numpy(np.random.default_rng(44).permutation(100))
    whole = choice.metric.pair(views(a), views(b), choice.values)
    parted = choice.metric.pair(views(a, budget=80_000), views(b, budget=40_000), choice.values)
    assert (whole.a.count, parted.a.count, parted.b.count) == (1, 3, 3)  # two layers fit, and one
    np.testing.assert_allclose(parted.observed(), whole.observed(), atol=1e-6, rtol=0)
    np.testing.assert_allclose(parted.permuted(order), whole.permuted(order), atol=1e-6, rtol=0)
    forming = [100**2 * len(x) * (x[0].shape[1] + (0 if "pearson" in key else 200)) for x in (a, b)]
    assert parted.operations == 100**2 * 15 + forming[0] + 3 * forming[1]


@pytest.mark.parametrize("key", ["cka:kernel=rbf", "unbiased_cka:kernel=rbf", "rsa:correlation=pearson"])
def test_tiles_never_hold_a_whole_matrix(key):
    choice = MetricChoice.parse(key)
    a, b = stacks(N, 6, 6, layers=(1, 1), seed=45)
    one, other = views(a, budget=WHOLE // 2), views(b, budget=WHOLE // 2)
    order = torch.from_numpy(np.random.default_rng(46).permutation(N))
    with Held() as held:
        pairing = choice.metric.pair(one, other, choice.values)
        pairing.observed()
        pairing.permuted(order)
    blocks = 12 * 8 * 128 * N  # a strip of 128 rows, a dozen of them in float64
    assert held.most < blocks
    with Held() as held:
        choice.metric.pair(views(a), views(b), choice.values).observed()
    assert held.most > 2 * WHOLE


def test_ranks_hold_one_part_at_a_time():
    a, b = stacks(N, 6, 6, layers=(6, 6), seed=47)
    choice = MetricChoice.of("rsa")
    most = []
    for budget in (WHOLE, 1 << 30):
        with Held() as held:
            choice.metric.pair(views(a, budget=budget), views(b, budget=budget), choice.values).observed()
        most.append(held.most)
    assert most[0] < most[1] - 6 * WHOLE / 2  # upper triangles


def test_an_item_far_from_all_others_unties_nothing():
    random = np.random.default_rng(48)
    x, y = (random.integers(0, 2, size=(60, 12)).astype(float) for _ in range(2))
    x[17] *= 3e3
    assert grid(MetricChoice.of("rsa"), [x], [y])[0, 0] == pytest.approx(oracles.rsa(x, y), abs=1e-6)
    x = random.normal(size=(60, 12)).astype(np.float32)
    x[17] *= 1e6
    assert grid(MetricChoice.of("rsa"), [x], [y])[0, 0] == pytest.approx(oracles.rsa(x.astype(float), y), abs=1e-6)


def test_ties_far_from_the_origin_and_close_together_are_ties():
    random = np.random.default_rng(49)
    x = random.integers(0, 2, size=(60, 12)) * 2.0**-20
    x[30:] += 1000.0  # two clusters, each a millionth of their distance wide
    y = random.normal(size=(60, 5))
    score = grid(MetricChoice.of("rsa"), [x], [y], dtype=torch.float64)[0, 0]
    assert score == pytest.approx(oracles.rsa(x, y), abs=1e-9)


@pytest.mark.parametrize("dissimilarity", ["sqeuclidean", "correlation"])
def test_blocks_of_wide_layers_are_made_of_some_items_at_a_time(dissimilarity):
    n, width = 1100, 1600
    choice = MetricChoice.parse(f"rsa:correlation=pearson,dissimilarity={dissimilarity}")
    layer = np.random.default_rng(50).normal(size=(n, width))
    layer[::2, :8] += 9
    one, other = (views([layer], budget=4 * n**2 // 2) for _ in range(2))
    order = torch.arange(n).roll(7)
    with Held() as held:
        pairing = choice.metric.pair(one, other, choice.values)
        scores = float(pairing.observed()), float(pairing.permuted(order))
    given = 2 * 4 * n * width  # both layers in float32, which it meets as they are read
    assert held.most - given < 8 * n * width  # less than one layer in float64
    whole = choice.metric.pair(views([layer]), views([layer]), choice.values)
    assert scores == pytest.approx((1, float(whole.permuted(order))), abs=1e-6)

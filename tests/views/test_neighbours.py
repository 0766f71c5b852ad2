"""Neighbours are those of the float64 products, ties to the lower index, whatever the blocking."""

import numpy as np
import pytest
import torch

from alignment.preprocessing import Preprocessing, prepare
from alignment.views import identical as same
from alignment.views import nearest_neighbours, neighbours
from alignment.views.stack import GIBIBYTE

PLAIN = Preprocessing(clip=None, normalize=False)


def literal(x, k):
    """Sorted by product and then by index, one row at a time, in float64."""
    x = x.astype(np.float64)
    lists = []
    for i, row in enumerate(x):
        products = (x * row).sum(axis=1)
        order = np.lexsort((np.arange(len(x)), -products))
        lists.append([j for j in order if j != i][:k])
    return np.array(lists)


def nearest(x, k, *, budget=GIBIBYTE, steps=PLAIN, dtype=torch.float32):
    return nearest_neighbours(prepare(torch.tensor(x, dtype=dtype), steps), k, budget=budget)[0].numpy()


BUDGETS = pytest.mark.parametrize("budget", [GIBIBYTE, 60_000, 4_000], ids=["dense", "blocks", "row by row"])


@BUDGETS
@pytest.mark.parametrize("k", [1, 3, 11, 59])
def test_exact_ties_go_to_the_lower_index(budget, k):
    x = np.random.default_rng(1).integers(-2, 3, size=(60, 4))  # whole numbers: every product is exact, and most tie
    np.testing.assert_array_equal(nearest(x, k, budget=budget), literal(x, k))


@BUDGETS
def test_equal_rows_are_told_apart_by_their_index_alone(budget):
    random = np.random.default_rng(2)
    x = random.normal(size=(12, 7)).astype(np.float32)[random.integers(0, 12, size=80)]
    np.testing.assert_array_equal(nearest(x, 10, budget=budget), literal(x, 10))


@BUDGETS
def test_what_float32_cannot_tell_apart_float64_does(budget):
    random = np.random.default_rng(3)
    base = random.normal(size=64)
    x = (base + 1e-4 * random.normal(size=(200, 64))).astype(np.float32) * 30  # products agree to seven digits
    exact = literal(x, 10)
    single = np.argsort(-(x @ x.T - 1e9 * np.eye(200, dtype=np.float32)), axis=1, kind="stable")[:, :10]
    assert (single != exact).any()
    np.testing.assert_array_equal(nearest(x, 10, budget=budget), exact)


def test_normalised_and_clipped_rows_are_told_apart_in_float64_too():
    random = np.random.default_rng(4)
    x = (1 + 1e-3 * random.normal(size=(150, 32))).astype(np.float32)
    bound = np.sort(np.abs(x).ravel())[int(0.95 * x.size)]
    rows = np.clip(x.astype(np.float64), -bound, bound)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_array_equal(nearest(x, 10, steps=Preprocessing()), literal(rows, 10))


def test_a_long_row_is_searched_by_groups_and_nothing_is_missed():
    random = np.random.default_rng(5)
    x = random.normal(size=(6000, 8)).astype(np.float32)
    some = slice(0, 6000, 97)
    found = nearest(x, 10, budget=1 << 24)
    wide = x.astype(np.float64)
    products = wide[some] @ wide.T
    products[np.arange(len(products)), np.arange(6000)[some]] = -np.inf
    np.testing.assert_array_equal(found[some], np.argsort(-products, axis=1, kind="stable")[:, :10])


def test_many_ties_in_a_long_row():
    x = np.random.default_rng(6).integers(-1, 2, size=(5000, 3))
    np.testing.assert_array_equal(nearest(x, 10, budget=1 << 24)[::250], literal(x, 10)[::250])


def test_the_products_come_with_the_neighbours():
    x = np.random.default_rng(7).normal(size=(50, 6)).astype(np.float32)
    index, products = nearest_neighbours(prepare(torch.tensor(x), PLAIN), 5, budget=GIBIBYTE)
    np.testing.assert_allclose(products.numpy(), np.take_along_axis(x @ x.T, index.numpy(), axis=1), rtol=1e-5)


def test_half_precision_activations_are_compared_in_float32():
    x = torch.randn(60, 16, generator=torch.Generator().manual_seed(8)).bfloat16()
    found = nearest_neighbours(prepare(x, PLAIN), 10, budget=GIBIBYTE)[0].numpy()
    np.testing.assert_array_equal(found, literal(x.float().numpy(), 10))


@BUDGETS
@pytest.mark.parametrize("k", [1, 4, 10])
def test_crowds_of_equal_rows_are_told_apart_by_their_index_alone(budget, k, monkeypatch):
    monkeypatch.setattr(neighbours, "_CROWD", 2)
    random = np.random.default_rng(9)
    x = random.normal(size=(200, 6)).astype(np.float32)
    x[random.permutation(200)[:90]] = x[0]  # one half the same point
    x[random.permutation(200)[:40]] = 0  # many that tie with everyone
    x[random.permutation(200)[:20]] = x[7]
    np.testing.assert_array_equal(nearest(x, k, budget=budget), literal(x, k))


def test_candidates_of_a_crowd_grow_as_items_do(monkeypatch):
    counts, decide = [], neighbours._decide

    def counted(layer, products, near, *rest):
        counts.append(int(near.sum()))
        return decide(layer, products, near, *rest)

    monkeypatch.setattr(neighbours, "_decide", counted)
    for n in (1000, 4000):
        x = np.random.default_rng(n).normal(size=(n, 8)).astype(np.float32)
        x[::2] = x[0]  # half the items are the same point: n² / 4 pairs of them tie
        counts.clear()
        nearest(x, 10, budget=1 << 22)
        assert 0 < sum(counts) < 40 * n


def test_items_of_equal_marks_that_differ_are_no_group(monkeypatch):
    x = np.random.default_rng(11).integers(0, 2, size=(60, 3)).astype(np.float32)
    layer = prepare(torch.tensor(x), PLAIN)
    monkeypatch.setattr(same, "marks", lambda layer: torch.zeros(60, dtype=torch.int64))
    kept, source = same.identical(layer, 2)
    assert (x[kept[source]] == x).all()
    assert len(np.unique(x, axis=0)) < len(kept)


def test_float64_forms_the_products_alone_that_are_too_near_to_another(monkeypatch):
    random = np.random.default_rng(12)
    x = random.normal(size=(400, 24)).astype(np.float32)
    x[200:240] = x[:40] * (1 + 1e-6 * random.normal(size=(40, 1)))  # some are two of a kind
    wide = x.astype(np.float64)
    products = np.sort(wide @ wide.T - 1e9 * np.eye(400), axis=1)[:, ::-1][:, :12]
    layer = prepare(torch.tensor(x), PLAIN)
    gaps = products[:, :-1] - products[:, 1:] <= 2.1 * neighbours.rounding(layer.features()).numpy()[:, None]
    alike = np.zeros(products.shape, dtype=bool)
    alike[:, 1:] |= gaps
    alike[:, :-1] |= gaps
    formed = []

    class Watched(type(layer)):
        def rows(self, index):
            formed.append(0 if isinstance(index, slice) else len(index))
            return super().rows(index)

    watched = Watched(layer.values, layer.bound, layer.norms, layer.scale)
    found = nearest_neighbours(watched, 11, budget=GIBIBYTE)[0].numpy()
    np.testing.assert_array_equal(found, literal(x, 11))
    assert 0 < sum(formed) <= 2 * alike.sum()
    assert alike.sum() < alike[alike.any(axis=1)].size / 3  # which all would be formed of

"""A stack's neighbours, found without waiting for each layer, are those that each layer's own search finds."""

import numpy as np
import pytest
import torch

from alignment.preprocessing import Preprocessing, prepare
from alignment.views import ahead, nearest_neighbours, neighbours
from alignment.views import stacked as stack_of
from alignment.views.stacked import stacked_neighbours
from tests.metrics.support import PLAIN
from tests.metrics.watch import Waits
from tests.views.test_neighbours import literal


def layers(n=80, width=16, seed=61):
    """Layers that leave float32 in doubt: everything ties, nearly ties, or does not."""
    random = np.random.default_rng(seed)
    lattice = random.integers(-2, 3, size=(n, 4))
    close = (random.normal(size=width) + 1e-4 * random.normal(size=(n, width))).astype(np.float32) * 30
    alike = random.normal(size=(12, 7)).astype(np.float32)[random.integers(0, 12, size=n)]
    return [random.normal(size=(n, width)), lattice, close, alike]


@pytest.mark.parametrize("budget", [1 << 30, 60_000, 4_000], ids=["dense", "blocks", "row by row"])
@pytest.mark.parametrize("k", [1, 3, 11, 79])
def test_neighbours_are_the_literal_ones(budget, k):
    found = stacked_neighbours(
        [prepare(torch.tensor(x, dtype=torch.float32), PLAIN) for x in layers()], k, budget=budget
    )
    for x, (index, _) in zip(layers(), found, strict=True):
        np.testing.assert_array_equal(index, literal(x.astype(np.float32), k))


def test_products_and_neighbours_are_those_of_each_layers_own_search():
    stack = [prepare(torch.tensor(x, dtype=torch.float32), Preprocessing()) for x in layers()]
    for layer, (index, values) in zip(stack, stacked_neighbours(stack, 10, budget=1 << 30), strict=True):
        expected = nearest_neighbours(layer, 10, budget=1 << 30)
        assert torch.equal(index, expected[0])
        torch.testing.assert_close(values, expected[1], rtol=1e-5, atol=1e-6)


def test_the_host_waits_twice_for_a_stack(monkeypatch):
    monkeypatch.setattr(ahead, "runs_ahead", lambda device: True)
    near = layers()[2]
    for count in (1, 5):
        stack = [prepare(torch.tensor(near, dtype=torch.float32), PLAIN)] * count
        with Waits() as waits:
            stacked_neighbours(stack, 10, budget=1 << 30)
        assert waits.seen == {"tolist": 2}


def test_a_crowd_is_searched_the_other_way(monkeypatch):
    searched = []
    monkeypatch.setattr(
        stack_of, "nearest_neighbours", lambda *given, **more: searched.append(1) or nearest_neighbours(*given, **more)
    )
    x = np.random.default_rng(62).normal(size=(300, 8)).astype(np.float32)
    alike = x.copy()
    alike[::2] = alike[0]
    found = stacked_neighbours([prepare(torch.tensor(one), PLAIN) for one in (x, alike)], 5, budget=1 << 30)
    assert len(searched) == 1
    np.testing.assert_array_equal(found[1][0], literal(alike, 5))


@pytest.mark.parametrize("asked", ["high", "medium"])
def test_coarse_products_decide_no_neighbour(asked, monkeypatch):
    """A process that lets float32 products be formed in TF32 or bfloat16 gets the same neighbours."""
    random = np.random.default_rng(63)
    x = random.normal(size=(200, 64)).astype(np.float32)
    layer = prepare(torch.tensor(x), PLAIN)
    before = torch.get_float32_matmul_precision()
    monkeypatch.setattr(neighbours, "_coarsest", lambda device: 2.0**-7)
    monkeypatch.setattr(neighbours, "symmetric_product", coarse)
    try:
        torch.set_float32_matmul_precision(asked)
        assert neighbours.rounding(layer.features()).min() > 0
        found = nearest_neighbours(layer, 10, budget=1 << 30)[0]
        stacked = stacked_neighbours([layer], 10, budget=1 << 30)[0][0]
    finally:
        torch.set_float32_matmul_precision(before)
    np.testing.assert_array_equal(found, literal(x, 10))
    np.testing.assert_array_equal(stacked, literal(x, 10))
    wrong = coarse(torch.tensor(x)).fill_diagonal_(-torch.inf).topk(10, dim=1).indices
    assert (wrong.numpy() != literal(x, 10)).any()


def coarse(features):
    """What a product in bfloat16 gives."""
    return (features.bfloat16().double() @ features.bfloat16().double().T).float()


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("what", ["matmul", "everything"])
def test_a_process_may_say_in_either_way_what_float32_products_are_formed_of(device, what):
    backends, place = torch.backends, torch.device(device)
    own = backends.mkldnn.matmul if device == "cpu" else backends.cuda.matmul
    said = own if what == "matmul" else backends
    kept = own.fp32_precision, backends.fp32_precision
    assert neighbours._coarsest(place) == 0
    try:
        own.fp32_precision = "none"  # which leaves it to what is said of everything
        said.fp32_precision = "tf32"  # after which torch does not answer the older question
        assert neighbours._coarsest(place) >= 2.0**-10
    finally:
        backends.fp32_precision = kept[1]
        own.fp32_precision = kept[0]
    torch.get_float32_matmul_precision()

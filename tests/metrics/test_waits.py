"""On a device that runs ahead of the host nothing in the grid waits for it, and what is done otherwise is the same.

What a GPU would be made to wait for is counted on CPU tensors, which only have to take the GPU's way.
"""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from alignment.calibration import null_scores
from alignment.metrics import METRICS, InfluencePairing, MetricChoice
from alignment.preprocessing import Preprocessing, prepare_all
from alignment.views import Kernel, Views, ahead
from tests.metrics.support import stacks, views
from tests.metrics.watch import Counted, Waits

SEVEN = ("mutual_knn", "cycle_knn", "lcs_knn", "edit_distance_knn", "cka", "unbiased_cka", "cknna")
CPU = torch.device("cpu")


@pytest.fixture
def _ahead(monkeypatch):
    monkeypatch.setattr(ahead, "runs_ahead", lambda device: True)


def quiet(stage, done, total):
    pass


@pytest.mark.usefixtures("_ahead")
@pytest.mark.parametrize("budget", [1 << 30, 60_000], ids=["dense", "tiled"])
@pytest.mark.parametrize("name", SEVEN)
def test_nothing_in_the_grid_waits(name, budget):
    a, b = stacks(200, 24, 40, layers=(3, 2), seed=51)
    one, other, choice = views(a, budget=budget), views(b, budget=budget), MetricChoice.of(name)
    choice.metric.pair(one, other, choice.values)  # the views are there from now on
    with Waits() as waits:
        choice.metric.pair(one, other, choice.values).observed()
    assert waits.seen == {}


@pytest.mark.usefixtures("_ahead")
@pytest.mark.parametrize("name", SEVEN)
def test_nothing_in_the_loop_of_permutations_waits(name):
    a, b = stacks(200, 24, 40, layers=(3, 2), seed=52)
    choice = MetricChoice.of(name)
    pairing = choice.metric.pair(views(a), views(b), choice.values)
    with Waits() as waits:
        null_scores(pairing, 200, 7, seed=1, device=CPU, progress=quiet)
    assert waits.seen == {}


def test_the_counter_sees_what_a_cpu_does_instead():
    a, b = stacks(200, 24, 40, layers=(3, 2), seed=53)
    choice = MetricChoice.of("mutual_knn")
    pairing = choice.metric.pair(views(a), views(b), choice.values)
    with Waits() as waits:
        pairing.observed()
    assert waits.seen == {"numpy": 1}  # which of A's edges B has
    x, mask = torch.arange(6.0), torch.arange(6) > 2
    for wait in (
        lambda: x[mask],
        lambda: float(x.sum()),
        lambda: bool(mask.any()),
        lambda: x.tolist(),
        lambda: x.cpu(),
        lambda: torch.unique(x),
        lambda: torch.tensor([1.0]),
        lambda: x.new_tensor([1.0]),
        lambda: x.masked_select(mask),
        lambda: x.masked_fill_(mask, 0).index_put_((mask,), x[0]),
        lambda: x.repeat_interleave(mask.long()),
        lambda: x.to("meta"),
    ):
        with Waits() as waits:
            wait()
        assert waits.count, wait
    with Waits() as waits:
        x[x.argsort()].index_add_(0, mask.long(), x).masked_fill(mask, 0.0).topk(2)
    assert waits.count == 0


@pytest.mark.usefixtures("_ahead")
def test_preparing_a_stack_waits_as_often_for_many_layers_as_for_few():
    counts = []
    for layers in (2, 6):
        stack, _ = stacks(200, 24, 40, layers=(layers, 1), seed=54)
        stack = [torch.tensor(x).bfloat16() for x in stack]  # whose order statistic is torch's on a CPU too
        with Waits() as waits:
            made = Views(prepare_all(stack, Preprocessing()))
            made.edges(10)
            made.grams(Kernel()).spread()
            made.findings()
        counts.append(waits.seen)
    # prepared, found sound, neighbours twice, told of; which are usable; the edges
    assert counts[0] == counts[1] == {"tolist": 5, "tensor": 1, "aten._unique2": 1}


def ways(monkeypatch, make):
    here = make()
    with monkeypatch.context() as patched:
        patched.setattr(ahead, "runs_ahead", lambda device: True)
        return here, make()


@pytest.mark.parametrize("budget", [1 << 30, 60_000], ids=["dense", "tiled"])
@pytest.mark.parametrize("name", [name for name in METRICS if METRICS[name].family in ("neighbours", "kernel")])
def test_both_ways_give_the_same(name, budget, monkeypatch):
    choice = MetricChoice.of(name)
    if budget < 1 << 30 and not choice.metric.tiles(choice.values):
        pytest.skip(f"{name} ranks all pairs of a layer at once")
    a, b = stacks(200, 24, 40, layers=(3, 2), seed=55)
    order = torch.from_numpy(np.random.default_rng(56).permutation(200))
    here, there = ways(
        monkeypatch, lambda: choice.metric.pair(views(a, budget=budget), views(b, budget=budget), choice.values)
    )
    bound = choice.metric.tolerance / 10
    np.testing.assert_allclose(there.observed(), here.observed(), atol=bound, rtol=0)
    np.testing.assert_allclose(there.permuted(order), here.permuted(order), atol=bound, rtol=0)
    if isinstance(here, InfluencePairing):
        group = torch.arange(200) % 7
        np.testing.assert_allclose(there.influences(group, 7), here.influences(group, 7), atol=1e-12, rtol=0)


@pytest.mark.parametrize("rest", [(), (3,), (3, 2)])
def test_sums_by_group_are_the_same_both_ways(rest):
    random = torch.Generator().manual_seed(57)
    values = torch.randn(500, *rest, dtype=torch.float64, generator=random)
    group = torch.randint(0, 9, (500,), generator=random)
    group[group == 4] = 5  # a group of nobody
    sums = [ahead.add_by(torch.ones(10, *rest, dtype=torch.float64), group, values, ahead=way) for way in (False, True)]
    torch.testing.assert_close(sums[1], sums[0], rtol=0, atol=1e-12)
    assert (sums[1][4] == 1).all()
    assert torch.equal(sums[1], ahead.add_by(torch.ones_like(sums[1]), group, values, ahead=True))


class Longest(TorchDispatchMode):
    """The most terms that one sum of a product has."""

    def __init__(self):
        super().__init__()
        self.terms = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.bmm):
            self.terms = max(self.terms, args[0].shape[-1])
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", ["mutual_knn", "cka", "unbiased_cka", "rsa"])
def test_a_permutation_is_as_few_operations_for_many_items_as_for_few(name, gpu):
    """And its products are short ones beside each other: a long one would leave most of a GPU without work."""
    counts, choice = [], MetricChoice.of(name)
    for n in (150, 700):
        a, b = (
            [layer.to(gpu) for layer in map(torch.tensor, side)] for side in stacks(n, 6, 8, layers=(3, 2), seed=58)
        )
        pairing = choice.metric.pair(*(Views(prepare_all(side, Preprocessing())) for side in (a, b)), choice.values)
        order = torch.randperm(n).to(gpu)
        pairing.permuted(order)  # what is made once
        with Counted() as counted, Longest() as longest:
            pairing.permuted(order)
        counts.append(counted.count)
        assert longest.terms <= 1 << 11
    assert counts[0] == pytest.approx(counts[1], abs=2)  # a remainder may be there or not
    assert counts[1] <= 40

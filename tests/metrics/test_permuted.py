"""What a permutation costs on a CPU: one side is moved once, by selecting and not by indexing."""

from collections import Counter

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from alignment.metrics import MetricChoice
from tests.metrics.support import stacks, views


class Elements(TorchDispatchMode):
    """Counts the elements that each operation makes, and how often it is called."""

    def __init__(self):
        super().__init__()
        self.made, self.calls = Counter(), Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor) and not function.is_view:
            self.made[str(function.overloadpacket)] += out.numel()
            self.calls[str(function.overloadpacket)] += 1
        return out


def test_a_permutation_is_few_passes_over_the_edges_of_one_side():
    a, b = stacks(400, 24, 40, layers=(3, 4), seed=81)
    choice = MetricChoice.of("mutual_knn")
    one, other = views(a), views(b)
    pairing = choice.metric.pair(one, other, choice.values)
    edges, hits = len(one.edges(10)), 3 * 4 * 10 * 400
    with Elements() as elements:
        pairing.permuted(torch.randperm(400, generator=torch.Generator().manual_seed(82)))
    assert elements.made["aten.index"] == 0
    assert elements.made["aten.index_select"] <= 3 * edges + hits
    assert sum(elements.made.values()) <= 6 * edges + hits


def test_procrustes_moves_each_layer_of_one_side_once():
    a, b = stacks(90, 6, 8, layers=(5, 4), seed=83)
    choice = MetricChoice.of("procrustes")
    pairing = choice.metric.pair(views(a), views(b), choice.values)
    order = torch.randperm(90, generator=torch.Generator().manual_seed(84))
    pairing.permuted(order)
    with Elements() as elements:
        pairing.permuted(order)
    assert elements.made["aten.index"] == 0
    assert elements.made["aten.index_select"] == 4 * 90 * 8
    assert elements.calls["aten.mm"] == 5  # each of A's layers with all of B's

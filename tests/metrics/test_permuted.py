"""What a permutation of neighbourhoods costs on a CPU: passes over A's edges that select, and none that index."""

from collections import Counter

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from alignment.metrics import MetricChoice
from tests.metrics.support import stacks, views


class Elements(TorchDispatchMode):
    """Counts the elements that each operation makes."""

    def __init__(self):
        super().__init__()
        self.made = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor) and not function.is_view:
            self.made[str(function.overloadpacket)] += out.numel()
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

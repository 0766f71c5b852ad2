"""On a GPU, every metric gives what it gives on the CPU, to the tolerance that it documents.

On one that is pretended as well: where tensors are made, moved and met is the same there.
"""

import numpy as np
import pytest
import torch

from alignment.metrics import METRICS, InfluencePairing, MetricChoice
from alignment.preprocessing import Preprocessing, prepare
from alignment.views import Views
from alignment.views.stack import GIBIBYTE
from tests.metrics.support import stacks


def views(layers, device, budget):
    return Views(
        [prepare(torch.tensor(x, dtype=torch.float32, device=device), Preprocessing()) for x in layers], budget=budget
    )


@pytest.mark.parametrize("budget", [GIBIBYTE, 60_000], ids=["dense", "tiled"])
@pytest.mark.parametrize("name", METRICS)
def test_the_gpu_agrees_with_the_cpu(gpu, name, budget):
    choice = MetricChoice.of(name)
    if budget < GIBIBYTE and not choice.metric.tiles(choice.values):
        pytest.skip(f"{name} says that it needs its whole matrix")
    a, b = stacks(300, 24, 40, layers=(3, 2), seed=21)
    order = torch.from_numpy(np.random.default_rng(22).permutation(300))
    here = choice.metric.pair(views(a, "cpu", budget), views(b, "cpu", budget), choice.values)
    there = choice.metric.pair(views(a, gpu, budget), views(b, gpu, budget), choice.values)
    bound = 2 * choice.metric.tolerance + 1e-9
    np.testing.assert_allclose(there.observed().cpu().numpy(), here.observed().numpy(), atol=bound, rtol=0)
    np.testing.assert_allclose(
        there.permuted(order.to(gpu)).cpu().numpy(), here.permuted(order).numpy(), atol=bound, rtol=0
    )
    if isinstance(here, InfluencePairing):
        assert isinstance(there, InfluencePairing)
        group = torch.arange(300) % 7
        np.testing.assert_allclose(
            there.influences(group.to(gpu), 7).cpu().numpy(), here.influences(group, 7).numpy(), atol=bound
        )

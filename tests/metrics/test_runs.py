"""The edges of items gathered beside each other are those of each item, and take no more room than they must."""

import numpy as np
import pytest
import torch

from alignment.metrics import MetricChoice
from alignment.metrics import runs as module
from alignment.metrics.runs import Runs, alike, and_none
from tests.metrics.support import stacks, views
from tests.metrics.watch import Counted


@pytest.mark.parametrize("room", [1, 40, 1 << 12])
def test_items_have_their_own_edges_once(room, monkeypatch):
    monkeypatch.setattr(module, "_CACHED", room)
    random = np.random.default_rng(71)
    ends = np.concatenate([random.integers(0, 50, size=300), np.full(400, 17)])  # a hub, and some with no edge
    random.shuffle(ends)
    heads = random.permutation(np.concatenate([random.integers(20, 70, size=500), np.full(200, 3)]))
    from_, to = Runs(torch.from_numpy(ends), 80), Runs(torch.from_numpy(heads), 80)
    marks = and_none(torch.arange(700), -1)
    seen = []
    for items in alike(from_.counts, to.counts):
        places = [from_.of(items), to.of(items)]
        assert len(items) == 1 or max(place.numel() for place in places) <= room
        for place, side in zip(places, (ends, heads), strict=True):
            for item, row in zip(items.tolist(), marks[place].tolist(), strict=True):
                assert [mark for mark in row if mark >= 0] == np.flatnonzero(side == item).tolist()
        seen += items.tolist()
    assert sorted(seen) == sorted(set(ends.tolist()) & set(heads.tolist()))


def test_no_edges_are_no_items():
    nothing = Runs(torch.zeros(0, dtype=torch.int64), 5)
    assert list(alike(nothing.counts, nothing.counts)) == []


def test_cknna_is_as_many_operations_for_many_layers_as_for_few():
    counts = []
    for layers in (2, 7):
        a, b = stacks(300, 24, 40, layers=(layers, layers), seed=72)
        choice = MetricChoice.of("cknna")
        pairing = choice.metric.pair(views(a), views(b), choice.values)
        with Counted() as counted:
            pairing.observed()
        counts.append(counted.count)
    assert counts[1] <= 1.5 * counts[0]

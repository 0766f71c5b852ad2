"""The largest of each row are those that sorting all of it gives, whichever way they are found."""

import numpy as np
import pytest
import torch

from alignment.views import ahead
from alignment.views import largest as found
from alignment.views.largest import largest

WAYS = pytest.mark.parametrize("forward", [False, True], ids=["cpu", "ahead"])


@WAYS
@pytest.mark.parametrize(
    ("n", "count"),
    [(1, 1), (2, 1), (31, 12), (60, 59), (64, 12), (1000, 12), (1024, 101), (1025, 31), (5000, 7), (33_000, 11)],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_they_are_those_of_a_sort(n, count, dtype, forward, monkeypatch):
    monkeypatch.setattr(ahead, "runs_ahead", lambda device: forward)
    rows = torch.randn(40, n, dtype=dtype, generator=torch.Generator().manual_seed(n))
    rows[range(40), np.arange(40) % n] = -torch.inf
    values, place = largest(rows, count)
    assert torch.equal(values, rows.sort(dim=1, descending=True).values[:, :count])
    assert torch.equal(rows.gather(1, place), values)
    assert all(len(set(row)) == count for row in place.tolist())


@WAYS
def test_ties_are_found_as_often_as_they_are_wanted(forward, monkeypatch):
    monkeypatch.setattr(ahead, "runs_ahead", lambda device: forward)
    rows = torch.from_numpy(np.random.default_rng(1).integers(0, 4, size=(50, 1200)).astype(np.float32))
    rows[7] = 2.0  # all of it
    rows[8, ::64] = 9.0  # all of the largest in one group
    values, place = largest(rows, 12)
    assert torch.equal(values, rows.sort(dim=1, descending=True).values[:, :12])
    assert torch.equal(rows.gather(1, place), values)
    assert all(len(set(row)) == 12 for row in place.tolist())


def test_few_of_a_row_are_put_in_order(monkeypatch):
    """Those that a maximum rules out are looked at, and no more."""
    widths, topk = [], torch.Tensor.topk
    monkeypatch.setattr(
        torch.Tensor, "topk", lambda rows, *given, **more: widths.append(rows.shape[1]) or topk(rows, *given, **more)
    )
    for n in (1024, 8192):
        found.largest(torch.randn(256, n, generator=torch.Generator().manual_seed(2)), 12)
    assert len(widths) == 2
    assert max(widths) < 64

"""Ordered lists of any length are walked in numbers that are wide enough."""

import pytest
import torch

from alignment.metrics import MetricChoice
from alignment.metrics.ordered import counting
from tests.metrics import oracles
from tests.metrics.support import stacks, views


@pytest.mark.parametrize("k", [126, 127, 128])
@pytest.mark.parametrize("name", ["edit_distance_knn", "lcs_knn"])
def test_lists_as_long_as_a_byte_counts_are_scored_as_short_ones_are(name, k):
    a, b = stacks(k + 3, 3, 3, layers=(1, 1), seed=51)
    choice = MetricChoice.parse(f"{name}:k={k}")
    pairing = choice.metric.pair(views(a), views(b), choice.values)
    ours, theirs = (side[:, 0, :2].T.tolist() for side in (pairing.a, pairing.b))
    ours, theirs = [*ours, list(range(k))], [*theirs, list(range(k, 2 * k))]  # and two that share no item
    literal = {
        "edit_distance_knn": [k - oracles._levenshtein(p, q) for p, q in zip(ours, theirs, strict=True)],
        "lcs_knn": [oracles._subsequence(p, q) for p, q in zip(ours, theirs, strict=True)],
    }[name]
    scored = pairing.lists(*(torch.tensor(side).T.reshape(k, 1, 1, 3) for side in (ours, theirs)))
    assert scored.flatten().tolist() == literal
    low, high = choice.metric.range
    assert low <= float(pairing.observed()) <= high


@pytest.mark.parametrize("most", [127, 128, 32767, 32768])
def test_a_count_fits_and_is_no_wider_than_it_must_be(most):
    bits = torch.iinfo(counting(most)).bits
    assert most < 2 ** (bits - 1)
    assert bits == 8 or most >= 2 ** (bits // 2 - 1)

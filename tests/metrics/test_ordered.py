"""Ordered lists of any length are walked in numbers that are wide enough."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from alignment.metrics import MetricChoice, bits
from alignment.metrics.ordered import counting
from tests.metrics import oracles
from tests.metrics.support import stacks, views


class Calls(TorchDispatchMode):
    """Counts operations."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += 1
        return func(*args, **(kwargs or {}))


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


def lists_of(k, seed):
    """Pairs of lists of k items each: alike, reversed, apart, and of items that some share."""
    random = np.random.default_rng(seed)
    base = list(range(k))
    pairs = [(base, base), (base, base[::-1]), (base, [k + i for i in base])]
    return pairs + [(random.permutation(k + 3)[:k].tolist(), random.permutation(k + 3)[:k].tolist()) for _ in range(20)]


@pytest.mark.parametrize("k", [1, 2, 10, 14, 15, 16, 31, 32, 61, 62])
def test_a_row_of_bits_is_walked_as_a_row_of_numbers_is(k):
    pairs = lists_of(k, seed=k)
    rank = torch.tensor([[ours.index(item) if item in ours else -1 for ours, theirs in pairs for item in theirs]])
    matches = bits.bits_of(rank, k).view(len(pairs), k).T
    assert bits.common(matches).tolist() == [oracles._subsequence(*pair) for pair in pairs]
    assert bits.kept(matches).tolist() == [k - oracles._levenshtein(*pair) for pair in pairs]


@pytest.mark.parametrize("name", ["edit_distance_knn", "lcs_knn"])
def test_a_walk_of_bits_takes_as_many_steps_as_there_are_places(name):
    a, b = stacks(40, 3, 3, layers=(2, 3), seed=52)
    counts = []
    for k in (10, 20):
        choice = MetricChoice.parse(f"{name}:k={k}")
        pairing = choice.metric.pair(views(a), views(b), choice.values)
        with Calls() as calls:
            pairing.permuted(torch.arange(40))
        counts.append(calls.count)
    assert counts[1] < 2 * counts[0]


@pytest.mark.parametrize("name", ["edit_distance_knn", "lcs_knn"])
def test_the_longest_lists_that_bits_hold_are_scored_as_longer_ones_are(name):
    a, b = stacks(80, 5, 6, layers=(2, 3), seed=53)
    for k in (bits.WIDEST, bits.WIDEST + 1):
        choice = MetricChoice.parse(f"{name}:k={k}")
        pairing = choice.metric.pair(views(a), views(b), choice.values)
        assert pairing.short == (k <= bits.WIDEST)
        ours, theirs = views(a).neighbours(k), views(b).neighbours(k)
        for row, column in ((0, 0), (1, 2)):
            lists = list(zip(ours[row].tolist(), theirs[column].tolist(), strict=True))
            if name == "lcs_knn":
                expected = sum(oracles._subsequence(*pair) for pair in lists) / (80 * k)
            else:
                expected = 1 - sum(oracles._levenshtein(*pair) for pair in lists) / (80 * k)
            assert float(pairing.observed()[row, column]) == pytest.approx(expected, abs=1e-12)

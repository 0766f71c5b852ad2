"""The trend: rho, its p-value, and what has none."""

from itertools import permutations

import numpy as np
import pytest
from scipy.stats import spearmanr

from alignment.study.trend import find_trend, mean_alignment


def grid(values):
    return tuple(tuple(None if a == b else float(x) for b, x in enumerate(row)) for a, row in enumerate(values))


def symmetric(random, count):
    values = random.uniform(size=(count, count))
    return grid((values + values.T) / 2)


def test_rho_is_spearmans_and_p_counts_every_order():
    random = np.random.default_rng(0)
    for _ in range(5):
        alignment = symmetric(random, 5)
        capability = random.integers(0, 3, size=5).tolist()
        if len(set(capability)) == 1:
            continue
        means = mean_alignment(alignment)
        seen = spearmanr(capability, means).statistic
        every = [spearmanr(capability, [means[i] for i in order]).statistic for order in permutations(range(5))]
        found = find_trend(capability, alignment, "score", seed=0)
        assert found.rho == pytest.approx(seen)
        assert found.p_value == pytest.approx(np.mean(np.array(every) >= seen - 1e-12))
        assert (found.method, found.orders) == ("exact", 120)


def test_p_is_super_uniform_when_capability_is_dealt_at_random():
    """Every capability of N models is as likely: exact p-values then meet each level or stay below it."""
    random = np.random.default_rng(1)
    for count, draws in ((5, 400), (9, 40)):
        alignment = symmetric(random, count)
        p = np.array(
            [find_trend(random.permutation(count).tolist(), alignment, "score", seed=0).p_value for _ in range(draws)]
        )
        for level in (0.05, 0.1, 0.25, 0.5):
            assert np.mean(p <= level) <= level + 3 * np.sqrt(level * (1 - level) / draws)


def test_many_models_are_drawn_reproducibly_and_agree_with_the_exact_count():
    random = np.random.default_rng(2)
    alignment = symmetric(random, 9)
    capability = random.permutation(9).tolist()
    one, again, other = (find_trend(capability, alignment, "score", seed=seed) for seed in (0, 0, 1))
    assert one == again
    assert one.method == "permutation"
    assert one.p_value == pytest.approx(other.p_value, abs=0.01)
    means = np.array(mean_alignment(alignment)).argsort().argsort()
    every = np.array(list(permutations(range(9)))) @ np.array(capability)
    exact = np.mean(every >= np.array(capability) @ means)
    assert one.p_value == pytest.approx(exact, abs=0.01)


def test_equal_capabilities_have_no_trend():
    alignment = symmetric(np.random.default_rng(0), 4)
    assert find_trend([1, 1, 1, 1], alignment, "score", seed=0) is None
    assert find_trend([1, 2], symmetric(np.random.default_rng(0), 2), "score", seed=0) is None
    assert find_trend([1, 2, 3], ((None, None, None), (None, None, 0.5), (None, 0.5, None)), "score", seed=0) is None


def test_both_directions_are_averaged():
    assert mean_alignment(((None, 0.2, 0.4), (0.6, None, None), (0.4, None, None))) == pytest.approx([0.4, 0.4, 0.4])

"""linear_predictivity: two ways to the same errors, and nothing of A's is made again for a permutation."""

import numpy as np
import pytest
import torch

from alignment.calibration import null_scores
from alignment.metrics import MetricChoice
from alignment.metrics.ridge import Fold
from tests.metrics.support import stacks, views

CPU = torch.device("cpu")
CHOICE = MetricChoice.of("linear_predictivity")


def pairing(budget=1 << 30, widths=(24, 17)):
    a, b = stacks(60, *widths, layers=(3, 2), seed=71)
    return CHOICE.metric.pair(views(a, budget=budget), views(b), CHOICE.values)


@pytest.mark.parametrize("widths", [(24, 17), (90, 5), (5, 90)], ids=str)
def test_errors_through_gram_matrices_are_those_through_features(widths):
    through_grams, through_features = pairing(widths=widths), pairing(widths=widths)
    through_grams.through_grams, through_features.through_grams = True, False
    for seed in range(3):
        order = torch.from_numpy(np.random.default_rng(seed).permutation(60))
        np.testing.assert_allclose(through_grams.permuted(order), through_features.permuted(order), atol=1e-11, rtol=0)
    np.testing.assert_allclose(through_grams.observed(), through_features.observed(), atol=1e-11, rtol=0)


def test_gram_matrices_are_for_few_items_that_fit():
    assert pairing().through_grams
    assert not pairing(budget=1_000_000).through_grams  # the matrices of A take 2.2 MB
    assert not pairing(widths=(3, 3)).through_grams  # products of features are less work


@pytest.mark.parametrize(("budget", "made"), [(1 << 30, 15), (1_000_000, 15), (50_000, 60)])
def test_the_decompositions_of_a_layer_are_made_once(budget, made, monkeypatch):
    calls, of = [], Fold.of
    monkeypatch.setattr(Fold, "of", lambda *given: calls.append(1) or of(*given))
    made_pairing = pairing(budget=budget)
    made_pairing.observed()
    for seed in range(3):
        made_pairing.permuted(torch.from_numpy(np.random.default_rng(seed).permutation(60)))
    assert len(calls) == made  # 3 layers of 5 folds; without room, for each of the four grids


def test_operations_say_which_way_is_taken():
    grams, kept, anew = pairing(), pairing(budget=1_000_000), pairing(budget=50_000)
    assert grams.operations == 6 * 100 * 60 * 61
    assert grams.operations < kept.operations < anew.operations


def test_permutations_together_are_permutations_apart():
    made = pairing()
    assert made.together > 1
    orders = torch.from_numpy(np.stack([np.random.default_rng(seed).permutation(60) for seed in range(3)]))
    apart = torch.stack([made.permuted(order) for order in orders])
    np.testing.assert_allclose(made.shuffled(orders), apart, atol=1e-12, rtol=0)


def test_a_null_is_drawn_as_many_at_a_time_as_go_together(monkeypatch):
    made, sizes = pairing(), []
    made.together = 3
    shuffled = made.shuffled
    monkeypatch.setattr(made, "shuffled", lambda orders: sizes.append(len(orders)) or shuffled(orders))
    told = []
    null = null_scores(made, 60, 8, seed=1, device=CPU, progress=lambda stage, done, total: told.append(done))
    assert (sizes, told, null.shape) == ([3, 3, 2], [3, 6, 8], (8, 3, 2))
    made.together = 1
    np.testing.assert_allclose(null_scores(made, 60, 8, seed=1, device=CPU, progress=lambda *_: None), null, atol=1e-12)

"""A table of where values stand is as good as it says, and ranks that never fit give the scores of those that do."""

import numpy as np
import pytest
import torch
from scipy.stats import rankdata

from alignment.metrics import MetricChoice
from alignment.views.places import ANGLE, Places
from alignment.views.ranks import grains
from tests.metrics.support import views

RANDOM = np.random.default_rng(61)
P = 100_000
VALUES = {
    "smooth": RANDOM.normal(size=P) ** 2,
    "narrow": 1 + 1e-5 * RANDOM.random(P),
    "wide": np.exp(20 * RANDOM.normal(size=P)),
    "few": RANDOM.integers(0, 9, size=P).astype(float),
    "many zeros": np.where(RANDOM.random(P) < 0.4, 0.0, RANDOM.random(P)),
    "one tie among others as near": np.where(RANDOM.random(P) < 0.4, 1.0, 1 + 1e-7 * RANDOM.normal(size=P)),
    "two ties as near": np.where(RANDOM.random(P) < 0.4, 1.0, 1 + 3e-11),
    "all the same": np.full(P, 3.0),
}


def table(values, bins, sample=None):
    made = Places(grains(values if sample is None else sample), float(values.max()) * 2, bins)
    parts = torch.split(values, 30_000)
    for part in parts:
        made.count(part)
    if made.unsettled():
        for part in parts:
            made.tell_ties(part)
    return made, made.settle()


def unit(ranks):
    centred = ranks - ranks.mean()
    return centred / np.linalg.norm(centred)


@pytest.mark.parametrize("bins", [1 << 20, 1 << 22], ids=["few bins", "many bins"])
@pytest.mark.parametrize("name", VALUES)
def test_ranks_are_off_by_no_more_than_the_angle_that_the_table_gives(name, bins):
    values = torch.tensor(VALUES[name])
    for sample in (None, values[::97]):
        made, good = table(values, bins, sample)
        assert good == (made.angle <= ANGLE)
        assert made.varies == (name != "all the same")
        if made.varies:
            found = made.standing(values.view(100, -1)).double().numpy().flatten()
            assert np.linalg.norm(found) == pytest.approx(1, abs=1e-6)
            chord = np.linalg.norm(unit(rankdata(grains(values).numpy())) - found)
            assert chord <= made.angle + 2e-7  # of float32


@pytest.mark.parametrize("name", ["few", "many zeros", "one tie among others as near"])
def test_ties_are_told_from_what_is_near_them(name):
    made, _ = table(torch.tensor(VALUES[name]), 1 << 22)
    assert made.angle < 1e-3  # 0.25 if they were not


def test_two_ties_in_one_bin_are_said_to_be_in_doubt():
    made, good = table(torch.tensor(VALUES["two ties as near"]), 1 << 20)
    assert not good
    assert made.angle > 0.1


def test_doubt_beyond_the_tolerance_is_said():
    values = torch.tensor(VALUES["narrow"])
    assert not table(values, 1 << 20, values[:1000])[1]


def test_more_values_want_no_more_bins_and_more_layers_have_fewer():
    assert Places.room(1 << 30, 1) == Places.room(1 << 40, 1) == 1 << 23
    assert Places.room(1 << 30, 32) == 1 << 22
    assert Places.room(0, 1) == 1
    assert Places.enough(1 << 22, 10**8)
    assert Places.enough(1 << 22, 10**10)
    assert not Places.enough(1 << 21, 10**10)
    assert not Places.enough(1 << 23, 10**6)


ITEMS, BUDGET = 3600, 1 << 26  # where a whole matrix of float64 does not fit, and the largest table does


@pytest.mark.parametrize(("name", "kind"), [("rsa", "lattice"), ("rsa:dissimilarity=correlation", "smooth")])
def test_ranks_that_do_not_fit_give_the_scores_of_those_that_do(name, kind):
    random = np.random.default_rng(62)
    x = random.normal(size=(ITEMS, 6)) if kind == "smooth" else random.integers(0, 4, size=(ITEMS, 6)).astype(float)
    x[-90:] = x[:90]  # items drawn twice
    y = x + random.normal(size=x.shape)
    choice, order = MetricChoice.parse(name), torch.from_numpy(random.permutation(ITEMS))
    whole, streamed = (
        choice.metric.pair(*(views([z], dtype=torch.float64, budget=budget) for z in (x, y)), choice.values)
        for budget in (1 << 30, BUDGET)
    )
    assert (whole.a.whole, streamed.a.whole) == (True, False)
    assert streamed.observed().item() == pytest.approx(whole.observed().item(), abs=choice.metric.tolerance)
    assert streamed.permuted(order).item() == pytest.approx(whole.permuted(order).item(), abs=choice.metric.tolerance)


def test_layers_that_do_not_vary_and_items_without_a_correlation_have_no_streamed_score(monkeypatch):
    monkeypatch.setattr(Places, "enough", staticmethod(lambda bins, pairs: True))
    monkeypatch.setattr(Places, "room", staticmethod(lambda budget, layers: 1 << 20))
    random = np.random.default_rng(63)
    x, flat, alike = random.normal(size=(60, 5)), random.normal(size=(60, 5)), np.eye(60)
    flat[7] = 1.0
    for name, layer in (("rsa", alike), ("rsa:dissimilarity=correlation", flat)):
        choice = MetricChoice.parse(name)
        sides = (views([z], budget=1000) for z in (x, layer))
        assert np.isnan(choice.metric.pair(*sides, choice.values).observed().item())

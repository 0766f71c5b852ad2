"""The moments of the permutation null, against every permutation there is."""

import itertools

import numpy as np
import pytest
import torch

from alignment.metrics import MetricChoice, kernel
from alignment.metrics.moments import third_moment, variance
from alignment.views import grams, summarise
from tests.metrics.support import stacks, views


def centred(x):
    x = x - x.mean(axis=0)
    return x @ x.T


def u_centred(x):
    gram, n = centred(x), len(x)
    k = np.diag(gram)
    out = gram + (k[:, None] + k[None, :]) / (n - 2) - k.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(out, 0)
    return out


@pytest.mark.parametrize("centring", [centred, u_centred])
@pytest.mark.parametrize("n", [6, 7, 8])
def test_moments_are_those_of_all_permutations(n, centring):
    random = np.random.default_rng(n)
    a, b = centring(random.normal(size=(n, 3)) ** 3), centring(random.normal(size=(n, 4)))
    assert np.allclose(a.sum(axis=1), 0)
    every = np.array([(a * b[np.ix_(p, p)]).sum() for p in map(list, itertools.permutations(range(n)))])
    one, other = summarise(torch.from_numpy(a)), summarise(torch.from_numpy(b))
    assert every.mean() == pytest.approx(np.trace(a) * np.trace(b) / (n - 1), abs=1e-9)
    assert float(variance(one, other, n)) == pytest.approx(every.var(), rel=1e-9)
    assert float(third_moment(one, other, n)) == pytest.approx(((every - every.mean()) ** 3).mean(), rel=1e-7)


@pytest.mark.parametrize("key", ["cka", "unbiased_cka", "cka:kernel=rbf", "mutual_knn:k=2"])
def test_a_pairing_knows_its_null_exactly(key, monkeypatch):
    monkeypatch.setattr(kernel, "_FEWEST", 6)  # all permutations can be gone through of few items alone
    choice, n = MetricChoice.parse(key), 7
    a, b = stacks(n, 3, 4, layers=(2, 2), seed=n)
    pairing = choice.metric.pair(views(a, dtype=torch.float64), views(b, dtype=torch.float64), choice.values)
    every = torch.stack([pairing.permuted(torch.tensor(p)) for p in itertools.permutations(range(n))])
    torch.testing.assert_close(pairing.null_mean(), every.mean(dim=0), rtol=0, atol=1e-9)
    moments = pairing.null_moments() if choice.metric.family == "kernel" else None
    if moments is not None:
        torch.testing.assert_close(moments.mean, every.mean(dim=0), rtol=0, atol=1e-9)
        torch.testing.assert_close(moments.deviation, every.std(dim=0, correction=0), rtol=1e-6, atol=0)
        standard = (every - every.mean(dim=0)) / every.std(dim=0, correction=0)
        torch.testing.assert_close(moments.skewness, standard.pow(3).mean(dim=0), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("key", ["cka", "unbiased_cka", "cka:kernel=rbf"])
def test_what_moments_need_of_a_layer_is_made_once_whatever_it_is_held_against(key, monkeypatch):
    made = []
    monkeypatch.setattr(grams, "summarise", lambda matrix: made.append(1) or summarise(matrix))
    choice = MetricChoice.parse(key)
    a, b = stacks(40, 6, 6, layers=(2, 3), seed=1)
    one, other = views(a), views(b)
    for left, right in ((one, other), (other, one), (one, one)):
        assert choice.metric.pair(left, right, choice.values).null_moments() is not None
    assert len(made) == 5

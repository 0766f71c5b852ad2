"""Clipping at an order statistic and rows of unit norm, as `Preprocessing` defines them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from alignment.errors import RequestError
from alignment.preprocessing import Preprocessing, prepare


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 1000),
    n=st.integers(1, 40),
    width=st.integers(1, 30),
    q=st.floats(0.01, 1.0),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.float16, torch.bfloat16]),
)
def test_features_are_the_definition(seed, n, width, q, dtype):
    values = torch.from_numpy(np.random.default_rng(seed).normal(size=(n, width))).to(dtype)
    x = values.double().numpy()
    bound = np.sort(np.abs(x).ravel())[min(int(q * n * width), n * width - 1)]
    expected = np.clip(x, -bound, bound)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    layer = prepare(values, Preprocessing(clip=q, normalize=True))
    np.testing.assert_allclose(layer.rows(slice(None)).numpy(), expected, rtol=1e-12, atol=0)
    np.testing.assert_allclose(
        layer.features(centred=True).numpy(), expected - expected.mean(axis=0), atol=1e-6 if n < 41 else 0
    )


def test_the_activations_are_left_as_they_came():
    values = torch.randn(20, 5, dtype=torch.float64)
    before = values.clone()
    layer = prepare(values, Preprocessing())
    layer.features(centred=True)
    layer.rows(slice(None)).zero_()
    assert torch.equal(values, before)


def test_a_row_of_zeros_stays():
    values = torch.ones(4, 3)
    values[2] = 0
    assert torch.equal(prepare(values, Preprocessing(clip=None)).rows(torch.tensor([2])), torch.zeros(1, 3).double())


def test_nothing_is_done_unasked():
    values = torch.randn(7, 3)
    layer = prepare(values, Preprocessing(clip=None, normalize=False))
    assert torch.equal(layer.features(), values)


@pytest.mark.parametrize("clip", [0.0, -0.5, 1.01, float("nan")])
def test_a_clip_that_is_no_share_is_refused(clip):
    with pytest.raises(RequestError, match="clip"):
        Preprocessing(clip=clip)

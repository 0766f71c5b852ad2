"""Stacks of layers to try metrics on."""

from __future__ import annotations

import numpy as np
import torch

from alignment.preprocessing import Preprocessing, prepare
from alignment.views import Views
from alignment.views.stack import GIBIBYTE

PLAIN = Preprocessing(clip=None, normalize=False)


def mixed_pair(n, width, shared, seed):
    """Two layers with a share of a common latent, values rounded so that float32 holds them exactly."""
    random = np.random.default_rng(seed)
    latent = random.normal(size=(n, width))
    x = latent * shared + random.normal(size=(n, width)) * (1 - shared) + 0.5
    y = latent * shared + random.normal(size=(n, width)) * (1 - shared) - 0.25
    return np.round(x, 3).astype(np.float32).astype(float), np.round(y, 3).astype(np.float32).astype(float)


def stacks(n, width_a, width_b, *, layers, seed):
    """Layers that share a latent, more or less, with a common offset, as float64 of float32 values."""
    random = np.random.default_rng(seed)
    latent = random.normal(size=(n, 6))

    def layer(width):
        values = (
            latent @ random.normal(size=(6, width)) + random.normal(size=(n, width)) * 2 + random.normal(size=width)
        )
        return values.astype(np.float32).astype(float)

    return [layer(width_a) for _ in range(layers[0])], [layer(width_b) for _ in range(layers[1])]


def views(layers, *, dtype=torch.float32, budget=GIBIBYTE, steps=PLAIN):
    return Views([prepare(torch.tensor(x, dtype=dtype), steps) for x in layers], budget=budget)


def grid(choice, a, b, *, dtype=torch.float32):
    """The observed grid, NaN where a layer is not usable."""
    one, other = views(a, dtype=dtype), views(b, dtype=dtype)
    scores = choice.metric.pair(one, other, choice.values).observed()
    return scores.masked_fill(~torch.outer(one.usable, other.usable), torch.nan).numpy()


def invariance(change, x, *, seed):
    """One side changed in one way."""
    random = np.random.default_rng(seed)
    n, width = x.shape
    if change == "orthogonal":
        return x @ np.linalg.qr(random.normal(size=(width, width)))[0]
    if change == "scaling":
        return x * 3.7
    if change == "translation":
        return x + random.normal(size=width) * 5
    if change == "row_scaling":
        return x * random.uniform(0.3, 3, size=(n, 1))
    assert change == "column_scaling"
    return x * random.uniform(0.3, 3, size=(1, width))

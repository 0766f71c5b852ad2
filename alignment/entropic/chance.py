"""Chance: independent generators, each named by what it draws."""

from __future__ import annotations

import hashlib
import math

import torch
from jaxtyping import Float
from torch import Tensor


def generator(seed: int, *purpose: object) -> torch.Generator:
    """Returns a generator that the seed and the purpose alone decide.

    >>> torch.equal(torch.rand(2, generator=generator(0, "x")), torch.rand(2, generator=generator(0, "y")))
    False
    """
    digest = hashlib.sha256(repr((seed, *purpose)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


def normal(random: torch.Generator, *shape: int) -> Float[Tensor, "..."]:
    """Returns standard normal numbers, float64."""
    return torch.randn(*shape, generator=random, dtype=torch.float64)


def log_uniform(random: torch.Generator, low: float, high: float, *shape: int) -> Float[Tensor, "..."]:
    """Returns numbers between `low` and `high` whose logarithms are uniform, float64."""
    position = torch.rand(*shape, generator=random, dtype=torch.float64)
    return torch.exp(math.log(low) + position * math.log(high / low))


def orthogonal(random: torch.Generator, size: int) -> Float[Tensor, "n n"]:
    """Returns an orthogonal matrix, uniform over them."""
    q, r = torch.linalg.qr(normal(random, size, size))
    return torch.mul(q, r.diagonal().sign())


def invertible(random: torch.Generator, size: int, low: float, high: float) -> Float[Tensor, "n n"]:
    """Returns a matrix whose singular values are log-uniform between `low` and `high`, above 0."""
    left, right = orthogonal(random, size), orthogonal(random, size)
    return (left * log_uniform(random, low, high, size)) @ right

"""pearson_p(): a p-value for single cells from the exact moments of their null, without its grain of 1 / (m + 1).

A Pearson III distribution (a shifted gamma) with the null's mean, deviation and skewness. It is an approximation: good
to 0.001 for well-behaved layers, and wrong by several times where an item dominates, where it is not used.

Source: Kazi-Aoual et al. 1995, Computational Statistics & Data Analysis 20; Josse, Pagès and Husson 2008, ibid. 53.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from alignment.metrics.moments import NullMoments

MOST_SKEWNESS = 1.0
_LEAST = 1e-6  # what the tail of an approximation is not trusted beyond


def trusted(moments: NullMoments) -> Bool[Tensor, "a b"]:
    """Returns which cells' nulls a Pearson III distribution describes; undefined cells are not held against it."""
    usable = (moments.skewness.abs() < MOST_SKEWNESS) & ~moments.dominated & (moments.deviation > 0)
    return usable | moments.deviation.isnan()


def pearson_p(observed: Float[Tensor, "a b"], moments: NullMoments) -> Float[Tensor, "a b"]:
    """Returns the chance of a score as high, cell by cell; never below a millionth."""
    from scipy.stats import norm, pearson3

    standard = ((observed - moments.mean) / moments.deviation).cpu().numpy()
    skewness = moments.skewness.cpu().numpy()
    p = pearson3.sf(standard, skewness)
    flat = abs(skewness) < 1e-6  # where the gamma is a normal, and scipy's is not defined
    p[flat] = norm.sf(standard[flat])
    return torch.from_numpy(p).to(observed).clamp(min=_LEAST)

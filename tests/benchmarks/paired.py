"""Paired differences: what one way of training has more than another, seed by seed, with its interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats


def paired(one: Sequence[float], other: Sequence[float]) -> str:
    """The mean of `one - other` with its paired 95% interval by Student's t; nothing if one of them is no number."""
    gaps = np.asarray(one) - np.asarray(other)
    if np.isnan(gaps).any():
        return ""
    half = float(stats.t.ppf(0.975, len(gaps) - 1)) * float(gaps.std(ddof=1)) / len(gaps) ** 0.5
    return f"{float(gaps.mean()):+.3f} ± {half:.3f}"

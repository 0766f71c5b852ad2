"""pmi_kernel(): the kernel that the hypothesis names as the limit of contrastive learning."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from alignment.errors import RequestError


def pmi_kernel(counts: Float[np.ndarray, "m m"], smoothing: float) -> Float[np.ndarray, "m m"]:
    """Returns K_PMI(i, j) = log P(i, j) / (P(i) P(j)) of co-occurrence counts: log (C_ij + s) / (E_ij + s).

    E_ij = C_i C_j / C is the count expected of independent items, from the row sums and the total. With s = 0 this is
    the definition to the letter. With s > 0 it is the log of the relative rate's posterior mean under a Gamma(s, s)
    prior: a pair that was never seen is finite, 0 if it could hardly have been seen and the lower the more often it
    should have been; so is one seen once that was expected never.

    A contrastive learner's kernel is K_PMI plus a constant. Neither the centred kernel nor the order within a row
    sees the constant.

    Args:
        counts: symmetric, none negative, no row without any.
        smoothing: s, in counts.

    Raises:
        RequestError: if s is 0 and a pair was never seen.

    Source: Huh et al. 2024, arXiv 2405.07987, section 4; the prior: DuMouchel 1999, The American Statistician 53(3).

    >>> pmi_kernel(np.array([[2.0, 1.0], [1.0, 2.0]]), 0).round(3).tolist()
    [[0.288, -0.405], [-0.405, 0.288]]
    """
    if smoothing == 0 and (counts == 0).any():
        row, column = np.argwhere(counts == 0)[0]
        raise RequestError(
            f"items {row} and {column} never occur together, so that their PMI is minus infinity; "
            "take a smoothing above 0"
        )
    marginal = counts.sum(axis=1)
    expected = np.outer(marginal, marginal) / marginal.sum()
    return np.asarray(np.log(counts + smoothing) - np.log(expected + smoothing))

"""benjamini_hochberg(): many p-values at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def benjamini_hochberg(p: Sequence[float]) -> list[float]:
    """Returns each p-value's q: the least false discovery rate at which it is still found. In the order given.

    With the p-values ascending, q_i = min over j >= i of min(1, m p_j / j): never below p_i, and in the same order.
    It holds for independent tests and for positively dependent ones. The pairs of a study share models and shuffles,
    which makes them positively dependent.

    Source: Benjamini and Hochberg 1995, JRSS B 57(1); under dependence, Benjamini and Yekutieli 2001, Ann. Stat. 29(4).

    >>> benjamini_hochberg([0.01, 0.04, 0.03])
    [0.03, 0.04, 0.04]
    """
    values = np.asarray(p, dtype=np.float64)
    if not len(values):
        return []
    order = np.argsort(values, kind="stable")
    raised = values[order] * len(values) / np.arange(1, len(values) + 1)
    found = np.empty_like(values)
    # m p / m may round to just below p, which q never is
    lowest = np.minimum.accumulate(raised[::-1])[::-1]
    found[order] = np.clip(np.maximum(lowest, values[order]), None, 1.0)
    return [float(value) for value in found]

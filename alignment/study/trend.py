"""find_trend(): does alignment rise with capability?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import permutations

import numpy as np
from jaxtyping import Int

from alignment.report.data import Grid
from alignment.report.study import Trend

EXACT = 8  # models: with as many, or fewer, every one of the N! orders is tried
DRAWS = 99_999  # orders drawn with more models
_AT_ONCE = 10_000


def mean_alignment(alignment: Grid) -> list[float | None]:
    """Returns each model's mean alignment to the others, both directions, over the pairs that have a meaning.

    >>> mean_alignment(((None, 0.5, None), (0.5, None, None), (None, None, None)))
    [0.5, 0.5, None]
    """
    found: list[float | None] = []
    for model, row in enumerate(alignment):
        column = [other[model] for other in alignment]
        known = [value for value in (*row, *column) if value is not None]
        found.append(math.fsum(known) / len(known) if known else None)
    return found


def find_trend(capability: Sequence[float], alignment: Grid, what: str, *, seed: int) -> Trend | None:
    """Returns Spearman's rho of capability and mean alignment with a one-sided p-value; None where it has no meaning.

    Ties share their mean rank. If capability has nothing to do with alignment, then every way to deal the capabilities
    out to the models is as likely, whatever dependence the matrix brings into the means: p is the share of the N!
    orders whose rho is at least the one seen, all of them tried up to 8 models, and (1 + #)/(m + 1) over m = 99,999
    seeded draws beyond. Either is super-uniform.

    It has no meaning where all capabilities or all means are equal, or where a model has no mean.

    Args:
        capability: one number a model.
        alignment: scores or calibrated scores, the diagonal left out.
        what: which of the two.
        seed: of the draws.

    Source: Spearman 1904; the prediction: Huh et al. 2024, arXiv 2405.07987, section 2.
    """
    means = mean_alignment(alignment)
    known = [value for value in means if value is not None]
    if len(known) < len(means) or len(set(known)) == 1 or len(set(capability)) == 1:
        return None
    # Doubled ranks are whole numbers, so that sums of their products are exact, and equal ones are seen to be.
    # Means are rounded first: what differs by the order of a sum alone is a tie.
    x = _doubled_ranks(list(capability))
    y = _doubled_ranks([round(value, 12) for value in known])
    if len(set(y.tolist())) == 1:
        return None
    seen = int(x @ y)
    exact = len(x) <= EXACT
    orders = _every(len(x)) if exact else _drawn(len(x), seed)
    count = sum(int((y[order] @ x >= seen).sum()) for order in orders)
    total = math.factorial(len(x)) if exact else DRAWS + 1
    return Trend(
        rho=float(np.corrcoef(x, y)[0, 1]),
        p_value=(count if exact else count + 1) / total,
        method="exact" if exact else "permutation",
        orders=total if exact else DRAWS,
        alignment=what,
        capability=tuple(float(value) for value in capability),
        mean_alignment=tuple(means),
    )


def _doubled_ranks(values: Sequence[float]) -> Int[np.ndarray, " m"]:
    """Returns twice the mean rank of each value among all, from 1, ties sharing theirs: a whole number."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    return (2 * np.cumsum(sizes) - sizes + 1)[group]


def _every(count: int) -> Iterator[Int[np.ndarray, "orders m"]]:
    yield np.array(list(permutations(range(count))))


def _drawn(count: int, seed: int) -> Iterator[Int[np.ndarray, "orders m"]]:
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 0x72E4D])))
    for start in range(0, DRAWS, _AT_ONCE):
        yield random.permuted(np.tile(np.arange(count), (min(_AT_ONCE, DRAWS - start), 1)), axis=1)

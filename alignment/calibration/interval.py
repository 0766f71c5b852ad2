"""best_interval(): how sure the best score is, given that it was picked for being best.

The target is the maximum over cells of E[s_n], at this number n of items: the overlap of fixed-k neighbourhoods falls
with n and has no other population value. A band that covers all cells at once covers their maximum too, whichever cell it
is: [max_c (s_c - q σ_c), max_c (s_c + q σ_c)].

σ_c comes from a delete-a-group jackknife, and q is the quantile of the largest of the cells' standardised errors, drawn by
giving each group's pseudo-value a normal weight.

Source: Chernozhukov, Chetverikov and Kato 2013, Annals of Statistics 41 (the multiplier bootstrap of a maximum); Busing,
Meijer and van der Leeden 1999, Statistics and Computing 9 (the delete-m jackknife).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from alignment.metrics.facts import ResampledPairing

_GROUPS = 50
_LEAST_GROUP = 4


def best_interval(
    pairing: ResampledPairing,
    observed: Float[Tensor, "a b"],
    items: int,
    *,
    draws: int,
    level: float,
    seed: int,
    progress: Callable[[int, int], None],
) -> tuple[float, float] | None:
    """Returns the interval of the best score; None for too few items to make groups of.

    Args:
        pairing: what can leave items out.
        observed: its grid, NaN where a score has no meaning.
        items: how many there are.
        draws: how many times the largest error is drawn.
        level: nominal coverage.
        seed: what the groups and the draws come from.
        progress: called with how many groups are done, of how many.
    """
    count = min(_GROUPS, items // _LEAST_GROUP)
    if count < 8:
        return None
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 0x1A7E])))
    groups = np.array_split(random.permutation(items), count)
    left = []
    for done, group in enumerate(groups, start=1):
        left.append(pairing.without(torch.from_numpy(np.sort(group)).to(observed.device)))
        progress(done, count)
    defined = ~observed.isnan()
    scores = observed[defined]
    errors = torch.stack(left)[:, defined]
    if errors.isnan().any():
        return None
    errors = errors - errors.mean(dim=0)
    sigma = (errors.square().sum(dim=0) * (count - 1) / count).sqrt()
    weights = torch.from_numpy(random.standard_normal((draws, count))).to(errors)
    drawn = weights @ errors * ((count - 1) / count) ** 0.5
    moving = sigma > 0
    largest = (drawn[:, moving].abs() / sigma[moving]).amax(dim=1) if moving.any() else weights.new_zeros(draws)
    q = float(torch.quantile(largest, level))
    return float((scores - q * sigma).max()), float((scores + q * sigma).max())

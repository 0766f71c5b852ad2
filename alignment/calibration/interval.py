"""best_interval(): how sure the best score is, given that it was picked for being best.

The target is the maximum over cells of E[s_n], at this number n of items: the overlap of fixed-k neighbourhoods falls
with n and has no other population value. A band that covers all cells at once covers their maximum too:
[max_c (s_c - q σ_c), max_c (s_c + q σ_c)].

σ_c is the infinitesimal jackknife's, from the items' influences on each score, in groups. q is the quantile of the
largest of the cells' standardised errors, drawn by giving each group's influence a normal weight.

A delete-a-group jackknife was tried first: at 200 items its σ is 1.65 times the truth for mutual_knn, where a deletion
makes new neighbours and the noise of that is taken for spread; the influences give 1.38, and 1.05 for CKA.

Items that are the same are one draw: their influences are added before they are squared, as those of a cluster. Taken
for draws of their own they would bring σ down to 0.71 of itself, were every item there twice, and add nothing to know
(CKA of items each there twice is CKA of each once). Where copies are independent draws, of a population that has few
items, the interval is too wide instead, and never too narrow.

`python -m tests.benchmarks.coverage` prints how well the intervals cover.

Source: Efron 1982, "The Jackknife, the Bootstrap and Other Resampling Plans", chapter 6 (the infinitesimal jackknife);
Chernozhukov, Chetverikov and Kato 2013, Annals of Statistics 41 (the multiplier bootstrap of a maximum);
Liang and Zeger 1986, Biometrika 73 (clusters).
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment.metrics import InfluencePairing

_GROUPS = 200
_FEWEST = 30  # items: below them the deviations themselves are too uncertain


def best_interval(
    pairing: InfluencePairing,
    observed: Float[Tensor, "a b"],
    items: int,
    *,
    draws: int,
    level: float,
    seed: int,
    bounds: tuple[float, float],
    copies: Int[Tensor, " n"] | None = None,
) -> tuple[float, float] | None:
    """Returns the interval of the best score; None for fewer than 30 items that differ.

    Args:
        pairing: what knows the items' influences.
        observed: its grid, NaN where a score has no meaning.
        items: how many there are.
        draws: how many times the largest error is drawn.
        level: nominal coverage.
        seed: what the groups and the draws come from.
        bounds: the metric's range.
        copies: which of the distinct items each is, from 0; None if all differ.
    """
    distinct = items if copies is None else 1 + int(copies.max())
    if distinct < _FEWEST:
        return None
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 0x1A7E])))
    count = min(_GROUPS, distinct)
    group = torch.from_numpy(random.permutation(distinct) % count).to(observed.device)
    group = group if copies is None else group[copies]
    defined = ~observed.isnan()
    scores, moved = observed[defined], pairing.influences(group, count)[:, defined]
    sigma = (moved.square().sum(dim=0) * count / (count - 1)).sqrt()
    weights = torch.from_numpy(random.standard_normal((draws, count))).to(moved)
    moving = sigma > 0  # a cell that no item moves, such as a layer with itself, has no error to draw
    largest = torch.zeros(draws, dtype=torch.float64, device=moved.device)
    if moving.any():
        largest = ((weights @ moved)[:, moving].abs() / sigma[moving]).amax(dim=1)
    q = torch.quantile(largest, level)
    low, high = bounds  # no score leaves them, so that no part of the band beyond them is of use
    return max(low, float((scores - q * sigma).max())), min(high, float((scores + q * sigma).max()))

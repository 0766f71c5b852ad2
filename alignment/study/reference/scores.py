"""kernel_scores(): a model's layers against a kernel, under many pairings of items at once.

The metrics are those that need nothing of the other side but its kernel. Its values are taken as they are, negative
eigenvalues included: cka is the cosine of the two centred kernels and so can be negative here; unbiased_cka is the
same of the U-centred ones, which do not see the diagonal (that of a PMI kernel says how often an item occurs beside
itself, which a model's does not); mutual_knn takes the k greatest values of each row, the item itself left out, ties to
the lower index.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment.metrics import MetricChoice, fewest_items
from alignment.views import EdgeFinder, Kernel, Views

METRICS = ("cka", "unbiased_cka", "mutual_knn")
_AT_ONCE = 16  # pairings whose block of the kernel is gathered for one product
_NOTHING = 1e-12  # an unbiased self term, as a share of the biased one, that is only rounding


def kernel_scores(
    choice: MetricChoice, views: Views, kernel: Float[Tensor, "n n"], pairings: Int[Tensor, "m n"]
) -> Float[Tensor, "m layers"]:
    """Returns each layer's score with item i of the model paired with item `pairings[:, i]` of the kernel, float64.

    NaN where a layer has no meaning.

    Args:
        choice: one of `METRICS`, the CKAs with their linear kernel.
        views: the model's.
        kernel: symmetric, float64.
        pairings: permutations of the items.
    """
    if choice.metric.name == "mutual_knn":
        found = _mutual_knn(views, kernel, pairings, int(choice.values["k"]))
    else:
        found = _cka(views, kernel, pairings, unbiased=choice.metric.name == "unbiased_cka")
    return found.masked_fill(~views.usable, torch.nan)


def nearest(kernel: Float[Tensor, "n n"], k: int) -> Int[Tensor, "n k"]:
    """Returns the columns of each row's k greatest values, the diagonal left out, ties to the lower index.

    >>> nearest(torch.tensor([[9.0, 1.0, 1.0], [1.0, 9.0, 2.0], [1.0, 2.0, 9.0]]), 1).tolist()
    [[1], [2], [1]]
    """
    others = kernel.clone()
    others.fill_diagonal_(-torch.inf)
    return others.sort(dim=1, descending=True, stable=True).indices[:, :k]


def _mutual_knn(
    views: Views, kernel: Float[Tensor, "n n"], pairings: Int[Tensor, "m n"], k: int
) -> Float[Tensor, "m layers"]:
    """Huh et al. 2024: the mean overlap of the two neighbourhoods, over k."""
    near, edges, n = nearest(kernel, k), views.edges(k), views.items
    finder = EdgeFinder(edges)
    item = torch.arange(n, device=kernel.device).unsqueeze(1) * n
    shares = []
    for pairing in pairings:
        back = torch.argsort(pairing)
        wanted = item + back[near[pairing]]  # in the model's own numbering
        shares.append(edges.member[finder.find(wanted.flatten())[1]].sum(dim=0) / (n * k))
    return torch.stack(shares)


def _cka(
    views: Views, kernel: Float[Tensor, "n n"], pairings: Int[Tensor, "m n"], *, unbiased: bool
) -> Float[Tensor, "m layers"]:
    """Kornblith et al. 2019 and Song et al. 2012, from centred kernels as `alignment.metrics.kernel` says."""
    grams, n = views.grams(Kernel()), views.items
    means = kernel.mean(dim=1)
    centred = kernel - (means.unsqueeze(1) + means.unsqueeze(0)) + means.mean()
    diagonal = centred.diagonal()
    weight, constant = (-2 / (n - 2), 1 / ((n - 1) * (n - 2))) if unbiased else (1.0, 0.0)
    cross = torch.zeros(len(pairings), len(views), dtype=torch.float64, device=kernel.device)
    squares = torch.zeros(len(views), dtype=torch.float64, device=kernel.device)
    for number in range(len(grams)):
        start, stop = grams.rows(number)
        block = grams.block(number).double()  # zero on and below the diagonal, so that the kernel may be anything there
        squares += block.square().sum(dim=1)
        for at in range(0, len(pairings), _AT_ONCE):
            some = pairings[at : at + _AT_ONCE]
            here = torch.stack([centred[p[start:stop]][:, p[start:]].flatten() for p in some])
            cross[at : at + len(some)] += here @ block.T
    own = 2 * squares + weight * grams.diagonal.square().sum(dim=1) + constant * grams.diagonal.sum(dim=1).square()
    biased = 2 * squares + grams.diagonal.square().sum(dim=1)
    whole = centred.square().sum()
    other = whole - diagonal.square().sum() + weight * diagonal.square().sum() + constant * diagonal.sum().square()
    paired = diagonal[pairings] @ grams.diagonal.T
    trace = diagonal.sum() * grams.diagonal.sum(dim=1)
    score = (2 * cross + weight * paired + constant * trace) * (own * other).rsqrt()
    meaning = (own > _NOTHING * biased) & (other > _NOTHING * whole)
    return score.clamp(-1, 1).masked_fill(~meaning, torch.nan)


def chosen(metrics: Sequence[MetricChoice]) -> tuple[MetricChoice, ...]:
    """Returns the metrics that a kernel is compared by, mutual_knn with the k that the study itself asks for.

    As in a comparison, one that there are too few items for is null, and the others are measured.
    """
    asked = {choice.metric.name: choice for choice in metrics if choice.metric.name == "mutual_knn"}
    return tuple(asked.get(name) or MetricChoice.of(name) for name in METRICS)


def least_items(metrics: Sequence[MetricChoice]) -> int:
    """Returns how many items the comparison with a kernel needs."""
    return fewest_items(chosen(metrics))

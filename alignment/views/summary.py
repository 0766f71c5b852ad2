"""Summary: what the moments of a permutation null need of a matrix, whatever it is permuted against."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from alignment.views.neighbours import symmetric_product


@dataclass(frozen=True, eq=False)
class Summary:
    """What the moments need of one matrix A (of a stack of them): sums of products of its entries, float64.

    Attributes:
        squares: Σ A_ij².
        cubes: Σ A_ij³.
        trace3: tr A³.
        diagonal2: Σ A_ii².
        diagonal3: Σ A_ii³.
        chain: Σ_i A_ii (A²)_ii.
        form: Σ_ij A_ii A_ij A_jj.
        most: the largest share of Σ A_ij² that stands in one row.
    """

    squares: Float[Tensor, "*layers"]
    cubes: Float[Tensor, "*layers"]
    trace3: Float[Tensor, "*layers"]
    diagonal2: Float[Tensor, "*layers"]
    diagonal3: Float[Tensor, "*layers"]
    chain: Float[Tensor, "*layers"]
    form: Float[Tensor, "*layers"]
    most: Float[Tensor, "*layers"]


def summarise(matrix: Float[Tensor, "n n"]) -> Summary:
    """Returns the summary of one symmetric matrix whose rows sum to zero, once its trace is taken out.

    A multiple of the centring matrix is subtracted, which shifts the statistic by a constant (its mean) and leaves the
    third moment about zero a central one: nothing cancels later.
    """
    n = len(matrix)
    shift = matrix.diagonal().double().sum() / (n - 1)
    centred = matrix + shift / n
    centred.diagonal().sub_(shift)
    diagonal = centred.diagonal().double()
    wide = centred.double()
    squared_rows = wide.square().sum(dim=1)
    squares = squared_rows.sum()
    return Summary(
        squares=squares,
        cubes=wide.pow(3).sum(),
        trace3=(symmetric_product(centred).double() * wide).sum(),
        diagonal2=diagonal.square().sum(),
        diagonal3=diagonal.pow(3).sum(),
        chain=(diagonal * squared_rows).sum(),
        form=diagonal @ wide @ diagonal,
        most=squared_rows.max() / squares,
    )


def stacked(summaries: list[Summary]) -> Summary:
    """Returns the summaries of a stack of layers as one."""
    return Summary(*(torch.stack([getattr(s, name) for s in summaries]) for name in Summary.__dataclass_fields__))

"""Dissimilarities: how unlike every two items are, a stack of layers at once, ready to be correlated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment.errors import OverBudgetError
from alignment.preprocessing import PreparedLayer
from alignment.views.neighbours import symmetric_product
from alignment.views.triangles import Triangles

_GRAIN = 2.0**-40  # of the largest dissimilarity: float64 products err by less, so that equal ones come out equal


@dataclass(frozen=True)
class Contrast:
    """What a dissimilarity matrix is made with.

    Attributes:
        dissimilarity: `sqeuclidean`, or `correlation`: 1 less the correlation of two items across features.
        ranked: whether ranks take the values' place, ties averaged.
    """

    dissimilarity: Literal["sqeuclidean", "correlation"] = "sqeuclidean"
    ranked: bool = True


class Dissimilarities(Triangles):
    """A stack of dissimilarity matrices, standardised: over the pairs of items the mean is 0 and the squares sum to 1.

    The sum of the products of two of them is then the correlation. A layer without variation, or with an item that has
    no correlation with anything, is all NaN.
    """

    def __init__(self, layers: Sequence[PreparedLayer], contrast: Contrast, *, budget: int) -> None:
        """Forms the stack.

        Raises:
            OverBudgetError: if it does not fit the budget, in bytes: ranks are of the whole matrix.
        """
        precise = any(layer.precision == torch.float64 for layer in layers)
        super().__init__(
            len(layers),
            len(layers[0].values),
            dtype=torch.float64 if precise else torch.float32,
            device=layers[0].values.device,
            budget=budget,
        )
        if self.spread_bytes > budget:
            raise OverBudgetError(
                f"the dissimilarities of {self.n} items in {self.layers} layers need {self.spread_bytes / 2**30:.1f} "
                f"GiB, more than the {budget / 2**30:.1f} GiB of the budget; take fewer samples or layers"
            )
        self.hold()
        above = torch.ones(self.n, self.n, dtype=torch.bool, device=self.device).triu_(1)
        for index, layer in enumerate(layers):
            matrix = _dissimilarity(layer, contrast.dissimilarity)
            values = matrix[above]
            if contrast.ranked:
                values = _ranks(values)
            whole = torch.linalg.vector_norm(values)
            values = values - values.mean()
            length = torch.linalg.vector_norm(values)
            # equal values are off their mean by rounding, which is no variation
            matrix[above] = values / torch.where(length > 1e-12 * whole, length, torch.nan)
            self.put(index, matrix)


def _dissimilarity(layer: PreparedLayer, kind: str) -> Float[Tensor, "n n"]:
    """Returns the whole matrix, float64: ranks see the smallest difference, and float32 products have them in doubt."""
    features = layer.rows(slice(None))
    if kind == "correlation":
        whole = torch.linalg.vector_norm(features, dim=1, keepdim=True)
        features = features - features.mean(dim=1, keepdim=True)
        lengths = torch.linalg.vector_norm(features, dim=1, keepdim=True)
        features = features / torch.where(lengths > 1e-12 * whole, lengths, torch.nan)
        distances = 1 - symmetric_product(features)
    else:  # the shift is nothing to distances, and without it no products nearly as large are taken from each other
        features = features - features.mean(dim=0)
        squares = features.square().sum(dim=1)
        distances = symmetric_product(features).mul_(-2).add_(squares.unsqueeze(1)).add_(squares.unsqueeze(0))
    return distances.clamp_(min=0).fill_diagonal_(0)


def _ranks(values: Float[Tensor, " p"]) -> Float[Tensor, " p"]:
    """Returns the ranks, from 1, the mean of theirs for those that tie."""
    if torch.isnan(values).any():
        return values
    grain = values.max() * _GRAIN
    grains = (values / torch.where(grain > 0, grain, 1.0)).round_()
    order = _ascending(grains)
    _, group, counts = torch.unique_consecutive(grains[order], return_inverse=True, return_counts=True)
    last = counts.cumsum(0).double()
    ranks = last - (counts.double() - 1) / 2
    return torch.empty_like(values).index_copy_(0, order, ranks[group])


def _ascending(values: Float[Tensor, " p"]) -> Int[Tensor, " p"]:
    if values.device.type == "cpu":  # numpy's sort is several times torch's here
        return torch.from_numpy(np.argsort(values.numpy()))
    return values.argsort()

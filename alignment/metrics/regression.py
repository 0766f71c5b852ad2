"""Metrics of regression: how much of one layer can be told, linearly, from the other?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment.metrics.facts import Pairing, Values
from alignment.views import Views

_FOLDS = 5
_PENALTIES = tuple(10.0**power for power in range(-3, 7))  # times the mean squared norm of the training rows
_EIGENVECTORS = 9.0  # floating-point operations of a symmetric [m, m] decomposition, in m³


@dataclass(frozen=True, eq=False)
class _Fold:
    """One layer of A, centred and turned to its principal axes on the training items of one fold.

    Attributes:
        train: the items to learn from.
        test: the items held out.
        inside: the training items' features.
        outside: the held-out items' features, in the same axes.
        shrink: 1 / (s² + λ) for each penalty λ and axis.
        weights: 1 / (1 - h)² for each penalty and training item, h its leverage.
        form: for each penalty, the matrix that turns a layer of B's products into the last term of its error.
    """

    train: Int[Tensor, " t"]
    test: Int[Tensor, " u"]
    inside: Float[Tensor, "t w"]
    outside: Float[Tensor, "u w"]
    shrink: Float[Tensor, "p w"]
    weights: Float[Tensor, "p t"]
    form: Float[Tensor, "p w w"]

    @classmethod
    def of(cls, features: Float[Tensor, "n w"], train: Int[Tensor, " t"], test: Int[Tensor, " u"]) -> _Fold:
        """Returns the fold of one layer."""
        mean = features[train].mean(dim=0)
        centred = features[train] - mean
        values, axes = torch.linalg.eigh(centred.T @ centred)
        inside, outside = centred @ axes, (features[test] - mean) @ axes
        norm = centred.square().sum() / len(train)
        penalties = torch.tensor(_PENALTIES, dtype=features.dtype, device=features.device) * norm
        shrink = 1 / (values.clamp(min=0) + penalties.unsqueeze(1))
        leverage = shrink @ inside.square().T + 1 / len(train)  # the mean is fitted too
        weights = (1 - leverage).pow(-2)
        form = torch.stack(
            [
                (inside.T * weight) @ inside * torch.outer(part, part)
                for weight, part in zip(weights, shrink, strict=True)
            ]
        )
        return cls(train, test, inside, outside, shrink, weights, form)

    def error(self, targets: Float[Tensor, "b n d"]) -> Float[Tensor, " b"]:
        """Returns each target layer's squared error on the held-out items, under the penalty that training picks."""
        known, wanted = targets[:, self.train], targets[:, self.test]
        mean = known.mean(dim=1, keepdim=True)
        known, wanted = known - mean, wanted - mean
        products = self.inside.T @ known
        chosen = self._left_one_out(known, products).argmin(dim=1)
        return (wanted - self.outside @ (self.shrink[chosen].unsqueeze(2) * products)).square().sum(dim=(1, 2))

    def _left_one_out(self, known: Float[Tensor, "b t d"], products: Float[Tensor, "b w d"]) -> Float[Tensor, "b p"]:
        """Returns each penalty's squared error, each training item told by the fit to the others.

        That error is the residual over 1 - h, exactly. Its square, `‖y - P S Pᵀ y‖²` with P the features in their axes
        and S the shrinkage, is multiplied out, so that what depends on the penalty never meets the targets themselves.
        """
        whole = known.square().sum(dim=2) @ self.weights.T
        crossed = self.weights @ (self.inside * (known @ products.mT))
        squared = (products @ products.mT).flatten(1) @ self.form.flatten(1).T
        return whole - 2 * (crossed * self.shrink).sum(dim=2) + squared


class LinearPredictivity(Pairing):
    """R² of ridge regression from A to B, on held-out items.

    The items are shuffled by a seed and cut into 5 contiguous folds. In each, on the training items alone: both layers
    are centred, the penalty is that of 10 powers of ten, times the mean squared norm of A's rows, with the least
    leave-one-out error over all of B's features together (the least penalty if two tie), and B is told on the held-out
    items. The score is pooled and variance-weighted: 1 less the squared errors of all items and features over their
    squared deviations from the mean of all items; scikit-learn's `r2_score(multioutput="variance_weighted")` of the
    predictions put together. A layer that tells nothing scores a little below 0, and there is no lower bound.

    Source: Yamins et al. 2014, PNAS 111(23); Schrimpf et al. 2018, "Brain-Score", bioRxiv 407007; leave-one-out by
    leverage Allen 1974, Technometrics 16(1).
    """

    def __init__(self, a: Views, b: Views, values: Values) -> None:
        self.n, self.a, self.b = a.items, a.factors(), b.factors()
        order = np.random.default_rng(int(values["seed"])).permutation(self.n)
        self.parts = [torch.from_numpy(part).to(a.device) for part in np.array_split(order, _FOLDS)]

    @property
    def operations(self) -> float:
        """For each fold: the decomposition and the forms of each layer of A, then four products a cell."""
        a, b, test = self.a.width, self.b.width, self.n / _FOLDS
        train = self.n - test
        layer = _EIGENVECTORS * a**3 + 2 * train * a**2 * (2 + len(_PENALTIES))
        cell = 2 * (2 * train + test) * a * b + 2 * a**2 * (b + len(_PENALTIES))
        return _FOLDS * self.a.layers * (layer + self.b.layers * cell)

    def observed(self) -> Float[Tensor, "a b"]:
        """Returns the grid with items paired as they are."""
        return self._score(None)

    def permuted(self, permutation: Int[Tensor, " n"]) -> Float[Tensor, "a b"]:
        """Returns the grid with item i of A paired with item `permutation[i]` of B."""
        return self._score(permutation)

    def _score(self, permutation: Int[Tensor, " n"] | None) -> Float[Tensor, "a b"]:
        error = torch.zeros(self.a.layers, self.b.layers, dtype=torch.float64, device=self.parts[0].device)
        whole = torch.zeros_like(error[0])
        for row in range(self.a.layers):
            for fold in self._folds(self.a.layer(row)):
                for where, targets in self.b.parts():
                    error[row, where] += fold.error(targets if permutation is None else targets[:, permutation])
        for where, targets in self.b.parts():
            whole[where] = targets.square().sum(dim=(1, 2))
        return 1 - error / torch.where(whole > 0, whole, torch.nan)

    def _folds(self, features: Float[Tensor, "n w"]) -> Iterator[_Fold]:
        for number, test in enumerate(self.parts):
            train = torch.cat([part for other, part in enumerate(self.parts) if other != number])
            yield _Fold.of(features, train, test)

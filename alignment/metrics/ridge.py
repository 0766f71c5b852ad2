"""Fold: one layer of A turned so that a ridge regression under every penalty, on any layer of B, is a few products."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

PENALTIES = tuple(10.0**power for power in range(-3, 7))  # times the mean squared norm of the training rows


@dataclass(frozen=True, eq=False)
class Fold:
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
    def of(cls, features: Float[Tensor, "n w"], train: Int[Tensor, " t"], test: Int[Tensor, " u"]) -> Fold:
        """Returns the fold of one layer."""
        mean = features[train].mean(dim=0)
        centred = features[train] - mean
        values, axes = torch.linalg.eigh(centred.T @ centred)
        inside, outside = centred @ axes, (features[test] - mean) @ axes
        norm = centred.square().sum() / len(train)
        penalties = torch.tensor(PENALTIES, dtype=features.dtype, device=features.device) * norm
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

    def forms(self) -> Float[Tensor, "2 p n n"]:
        """Returns the matrices whose sum of products with a target's Gram matrix is its error.

        Predictions are linear in the targets Y, so that each squared error is `tr(Yᵀ M Y) = Σ M ∘ YYᵀ` with an M that
        the targets have no part in: first the leave-one-out error of each penalty, then that on the held-out items.
        """
        told, held = len(self.train), len(self.test)
        steps = self.inside * self.shrink.unsqueeze(1)  # [p, t, w]
        eye = torch.eye(max(told, held), dtype=steps.dtype, device=steps.device)
        residual = eye[:told, :told] - 1 / told - steps @ self.inside.T
        out = steps.new_zeros(2, len(PENALTIES), told + held, told + held)
        rows, columns = self.train.unsqueeze(1), self.train
        out[0][:, rows, columns] = residual.mT @ (self.weights.unsqueeze(2) * residual)
        missed = steps.new_zeros(len(PENALTIES), held, told + held)
        missed[:, :, self.test] = eye[:held, :held]
        missed[:, :, self.train] = -1 / told - self.outside @ steps.mT
        out[1] = missed.mT @ missed
        return out

    def _left_one_out(self, known: Float[Tensor, "b t d"], products: Float[Tensor, "b w d"]) -> Float[Tensor, "b p"]:
        """Returns each penalty's squared error, each training item told by the fit to the others.

        That error is the residual over 1 - h, exactly. Its square, `‖y - P S Pᵀ y‖²` with P the features in their axes
        and S the shrinkage, is multiplied out, so that what depends on the penalty never meets the targets themselves.
        """
        whole = known.square().sum(dim=2) @ self.weights.T
        crossed = self.weights @ (self.inside * (known @ products.mT))
        squared = (products @ products.mT).flatten(1) @ self.form.flatten(1).T
        return whole - 2 * (crossed * self.shrink).sum(dim=2) + squared

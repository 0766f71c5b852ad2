"""Estimator: what every way to the entropy and its gradient offers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from alignment.entropic.problem import Problem
from alignment.entropic.sampling import Sampling


@dataclass(frozen=True, eq=False)
class Step:
    """What one step of training needs.

    Attributes:
        loss: the rows' mean loss; a scalar without a graph.
        square: the estimate of E‖g‖² over batches; a scalar without a graph.
        gradients: of `loss + weight * square`, one a trained parameter, in their order.
    """

    loss: Tensor
    square: Tensor
    gradients: tuple[Tensor, ...]


@runtime_checkable
class Estimator(Protocol):
    """A way to E‖g‖² over batches: `PerSample`, `GhostNorm` or `FiniteDifference`."""

    def value(self, problem: Problem, sampling: Sampling) -> Tensor:
        """Returns the estimate of E‖g‖², a scalar without a graph.

        Raises:
            TrainingError: if the model or the sampling is not one that this estimator can do, with the reason.
        """

    def step(self, problem: Problem, sampling: Sampling, weight: float) -> Step:
        """Returns the loss, the estimate, and the gradient of `loss + weight * square`; raises as `value` does."""

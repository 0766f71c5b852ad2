"""What the two estimators share that have a graph from the parameters to each row's ‖g_i‖²."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from alignment.entropic.estimators.estimator import Step
from alignment.entropic.problem import Problem
from alignment.entropic.sampling import Sampling


@dataclass(frozen=True, eq=False)
class Squares:
    """Each row's losses and ‖g_i‖², and the squared norm of the mean gradient.

    Attributes:
        losses: `[b]`, with the targets themselves.
        rows: `[b]`, each row's squared gradient norm; None where it was not asked for.
        mean: the squared norm of the mean gradient; None where it was not asked for.
    """

    losses: Float[Tensor, " b"]
    rows: Float[Tensor, " b"] | None
    mean: Float[Tensor, ""] | None


class Differentiable(ABC):
    """An estimator that differentiates its own value."""

    @abstractmethod
    def squares(self, problem: Problem, *, rows: bool, mean: bool, graph: bool) -> Squares:
        """Returns the squares asked for.

        Args:
            problem: what the gradients are of.
            rows: whether each row's square is needed.
            mean: whether the mean gradient's square is needed.
            graph: whether they must be differentiable.
        """

    def value(self, problem: Problem, sampling: Sampling) -> Tensor:
        """Returns the estimate of E‖g‖²; see `Estimator.value`."""
        return self._square(problem, sampling, graph=False)[1].detach()

    def step(self, problem: Problem, sampling: Sampling, weight: float) -> Step:
        """Returns the loss, the estimate and the gradient of `loss + weight * square`; see `Estimator.step`."""
        loss, square = self._square(problem, sampling, graph=True)
        parameters = tuple(problem.parameters.values())
        gradients = torch.autograd.grad(loss + weight * square, parameters, allow_unused=True)
        filled = tuple(
            torch.zeros_like(p) if g is None else g.detach() for p, g in zip(parameters, gradients, strict=True)
        )
        return Step(loss.detach(), square.detach(), filled)

    def _square(self, problem: Problem, sampling: Sampling, *, graph: bool) -> tuple[Tensor, Tensor]:
        alpha, beta = sampling.weights(len(problem))
        found = self.squares(problem, rows=alpha != 0, mean=beta != 0, graph=graph)
        square = torch.zeros((), dtype=found.losses.dtype, device=found.losses.device)
        if found.rows is not None:
            square = square + alpha * found.rows.mean()
        if found.mean is not None:
            square = square + beta * found.mean
        return found.losses.mean(), square

"""EntropicLoss: what stochastic gradient descent minimises to first order in its step.

    E[l] + γ ‖θ‖² + (η / 4) E_B ‖∇l_B‖²

η is the step whose effect is simulated, B a batch of the size in `sampling`. Beyond first order there is in general no
such potential: none is offered. At a minimum a batch of all rows has no gradient, and so no entropy.

Source: Ziyin, Xu and Chuang 2025, "Neural Thermodynamics", arXiv 2505.12387.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from alignment.entropic.estimators import Estimator, GhostNorm
from alignment.entropic.problem import Problem
from alignment.entropic.sampling import Sampling
from alignment.errors import TrainingError


@dataclass(frozen=True)
class LossValue:
    """The parts of an entropic loss.

    Attributes:
        loss: E[l], the rows' mean.
        entropy: (η / 4) E_B‖∇l_B‖².
        decay: γ ‖θ‖².
    """

    loss: float
    entropy: float
    decay: float

    @property
    def total(self) -> float:
        """The sum of the three."""
        return self.loss + self.entropy + self.decay


@dataclass(frozen=True)
class EntropicLoss:
    """A loss with the entropy of stochastic gradient descent.

    Attributes:
        strength: η, at least 0; 0 is the plain loss, for which no estimator is asked.
        decay: γ, at least 0.
        estimator: how E_B‖∇l_B‖² and its gradient are found.
        sampling: what B is.

    >>> from alignment.entropic.problem import square_error
    >>> model = torch.nn.Linear(2, 1, bias=False).double()
    >>> _ = torch.nn.init.ones_(model.weight)
    >>> problem = Problem(model, square_error, torch.eye(2).double(), torch.zeros(2, 1).double())
    >>> value = EntropicLoss(strength=0.1).backward(problem)
    >>> value.loss, value.entropy
    (1.0, 0.1)
    >>> model.weight.grad.tolist()
    [[1.1, 1.1]]
    """

    strength: float
    decay: float = 0.0
    estimator: Estimator = field(default_factory=GhostNorm)
    sampling: Sampling = field(default_factory=Sampling)

    def __post_init__(self) -> None:
        for name in ("strength", "decay"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise TrainingError(f"{name} must be a number of at least 0, not {getattr(self, name)}")

    def backward(self, problem: Problem) -> LossValue:
        """Sets each trained parameter's `grad` to the loss's gradient and returns the loss's parts.

        Raises:
            TrainingError: if the estimator cannot do the model or the sampling.
        """
        parameters = tuple(problem.parameters.values())
        if self.strength == 0:
            mean = problem.losses(problem.model(problem.inputs), problem.targets).mean()
            found = torch.autograd.grad(mean, parameters, allow_unused=True)
            gradients = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]
            loss, square = float(mean.detach()), 0.0
        else:
            step = self.estimator.step(problem, self.sampling, self.strength / 4)
            gradients, loss, square = list(step.gradients), float(step.loss), float(step.square)
        norm = 0.0
        for parameter, gradient in zip(parameters, gradients, strict=True):
            if self.decay:
                gradient = gradient + 2 * self.decay * parameter.detach()
                norm += float(parameter.detach().square().sum())
            parameter.grad = gradient
        return LossValue(loss, self.strength / 4 * square, self.decay * norm)

"""The local-order check: the flow of l + (η/4)‖∇l‖² follows one step of gradient descent to O(η³), that of l to O(η²).

Beyond this first correction no potential exists in general: the next field is not a gradient. Source: backward error
analysis as in Ziyin, Xu and Chuang 2025, arXiv 2505.12387, and Barrett and Dherin 2021, arXiv 2009.11162.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from alignment.entropic.problem import Problem

_SUBSTEPS = 40  # of the fourth-order integrator: its own error is far below the one measured


@dataclass(frozen=True)
class LocalOrder:
    """The orders found: about 3 with the entropy and 2 without.

    Attributes:
        rates: the steps η.
        with_entropy: ‖step - flow‖ of the entropic loss for each.
        without: the same of the plain loss.
    """

    rates: tuple[float, ...]
    with_entropy: tuple[float, ...]
    without: tuple[float, ...]

    @property
    def slopes(self) -> tuple[float, float]:
        """The slopes of log error over log η, with and without the entropy."""
        x = np.log(self.rates)
        found = [float(np.polyfit(x, np.log(errors), 1)[0]) for errors in (self.with_entropy, self.without)]
        return found[0], found[1]


def local_order(problem: Problem, rates: Sequence[float] = (0.08, 0.04, 0.02, 0.01)) -> LocalOrder:
    """Returns how far one full-batch step is from the two flows for time η; the model is left as it is.

    Args:
        problem: a smooth model in float64 (no ReLU), the loss and the batch.
        rates: the steps η.
    """
    names = list(problem.parameters)
    start = torch.cat([p.detach().flatten() for p in problem.parameters.values()])
    shapes = [p.shape for p in problem.parameters.values()]
    sizes = [p.numel() for p in problem.parameters.values()]

    def loss(theta: Tensor) -> Tensor:
        parts = [part.reshape(shape) for part, shape in zip(torch.split(theta, sizes), shapes, strict=True)]
        values = dict(zip(names, parts, strict=True))
        outputs = torch.func.functional_call(problem.model, values, (problem.inputs,))
        return problem.losses(outputs, problem.targets).mean()

    def field(theta: Tensor, rate: float) -> Tensor:
        """Minus the gradient of the plain loss, or of the entropic one for a rate above 0."""
        theta = theta.detach().requires_grad_()
        (g,) = torch.autograd.grad(loss(theta), theta, create_graph=rate > 0)
        if rate == 0:
            return -g
        (bent,) = torch.autograd.grad(g.square().sum(), theta)
        return -(g.detach() + rate / 4 * bent)

    errors: tuple[list[float], list[float]] = ([], [])
    with sdpa_kernel(SDPBackend.MATH):
        for rate in rates:
            step = start + rate * field(start, 0.0)
            for found, correction in zip(errors, (rate, 0.0), strict=True):
                flow = _flow(start, rate, lambda theta, c=correction: field(theta, c))  # type: ignore[misc]
                found.append(float((flow - step).norm()))
    return LocalOrder(tuple(rates), tuple(errors[0]), tuple(errors[1]))


def _flow(theta: Tensor, time: float, field: Callable[[Tensor], Tensor]) -> Tensor:
    """Returns where the field carries theta in that time, by the classical Runge-Kutta method."""
    h = time / _SUBSTEPS
    for _ in range(_SUBSTEPS):
        a = field(theta)
        b = field(theta + h / 2 * a)
        c = field(theta + h / 2 * b)
        d = field(theta + h * c)
        theta = theta + h / 6 * (a + 2 * b + 2 * c + d)
    return theta

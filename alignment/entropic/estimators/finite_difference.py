"""FiniteDifference: the penalty's gradient from a second gradient a little further along the first.

    ∇‖g‖² = 2 H g ≈ 2 (‖g‖ / h) (∇l(θ + h g / ‖g‖) - g)

for the mean gradient g of each batch of the size asked for: two gradients a step, no second derivative, any operation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from alignment.entropic.estimators.estimator import Step
from alignment.entropic.problem import Problem
from alignment.entropic.sampling import Sampling
from alignment.errors import TrainingError

_STEPS = {torch.float64: 1e-6, torch.float32: 1e-3}


@dataclass(frozen=True)
class FiniteDifference:
    """The estimator of two gradients; the rows are split into batches of the size that is simulated.

    Attributes:
        step_length: h, in the parameters' own unit; None is 1e-6 in float64 and 1e-3 in float32.
    """

    step_length: float | None = None

    def value(self, problem: Problem, sampling: Sampling) -> Tensor:
        """Returns the estimate of E‖g‖²; see `Estimator.value`."""
        squares = [
            sum(g.square().sum() for g in _gradient(batch, noisy=True)[1]) for batch in _batches(problem, sampling)
        ]
        return torch.stack([torch.as_tensor(s) for s in squares]).mean()

    def step(self, problem: Problem, sampling: Sampling, weight: float) -> Step:
        """Returns the loss, the estimate and the gradient of `loss + weight * square`; see `Estimator.step`."""
        parameters = tuple(problem.parameters.values())
        batches = _batches(problem, sampling)
        total = [torch.zeros_like(p) for p in parameters]
        losses, squares = [], []
        for batch in batches:
            with _repeatable(parameters[0].device) as rewind:
                loss, noisy = _gradient(batch, noisy=True)
                plain = noisy
                if batch.penalty_targets is not None:
                    rewind()
                    loss, plain = _gradient(batch, noisy=False)
                length = torch.stack([g.square().sum() for g in noisy]).sum().sqrt()
                losses.append(loss)
                squares.append(length.square())
                curved = [torch.zeros_like(g) for g in noisy]
                if weight and float(length) > 0:
                    rewind()
                    curved = self._curved(batch, parameters, noisy, length)
            for place, (own, bent) in enumerate(zip(plain, curved, strict=True)):
                total[place] += (own + weight * bent) / len(batches)
        return Step(torch.stack(losses).mean(), torch.stack(squares).mean(), tuple(total))

    def _curved(
        self, batch: Problem, parameters: Sequence[Tensor], gradient: Sequence[Tensor], length: Tensor
    ) -> list[Tensor]:
        """Returns 2 H g, leaving the parameters as they were, to the bit."""
        h = self.step_length or _STEPS.get(parameters[0].dtype, 1e-2)
        kept = [p.detach().clone() for p in parameters]
        try:
            with torch.no_grad():
                for p, g in zip(parameters, gradient, strict=True):
                    p.add_(g * (h / length))
            further = _gradient(batch, noisy=True)[1]
        finally:
            with torch.no_grad():
                for p, old in zip(parameters, kept, strict=True):
                    p.copy_(old)
        return [(2 * length / h) * (far - near) for far, near in zip(further, gradient, strict=True)]


def _batches(problem: Problem, sampling: Sampling) -> list[Problem]:
    size = sampling.batch
    if len(problem) % size:
        raise TrainingError(
            f"{len(problem)} rows cannot be split into batches of {size}; finite differences need a multiple of it"
        )
    if sampling.rows == "all" and len(problem) != size:
        raise TrainingError(
            "finite differences see some batches of all rows, not their expectation; use ghost norms, or rows='sample'"
        )
    return [problem.rows(slice(at, at + size)) for at in range(0, len(problem), size)]


def _gradient(problem: Problem, *, noisy: bool) -> tuple[Tensor, list[Tensor]]:
    parameters = tuple(problem.parameters.values())
    loss = problem.losses(problem.model(problem.inputs), problem.noisy_targets if noisy else problem.targets).mean()
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    return loss.detach(), [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]


@contextmanager
def _repeatable(device: torch.device) -> Iterator[Callable[[], None]]:
    """Yields a function that sets chance back, so that dropout drops the same in both gradients."""
    cpu = torch.get_rng_state()
    gpu = torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    def rewind() -> None:
        torch.set_rng_state(cpu)
        if gpu is not None:
            torch.cuda.set_rng_state(gpu, device)

    yield rewind

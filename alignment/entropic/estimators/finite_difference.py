"""FiniteDifference: the penalty's gradient from a second gradient a little further along the first.

    ∇‖g‖² = 2 H g ≈ 2 (‖g‖ / h) (∇l(θ + h g / ‖g‖) - g)

for the mean gradient g of each batch of the size asked for: two gradients a step, no second derivative, any operation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from alignment.entropic.estimators.estimator import Step
from alignment.entropic.problem import Problem
from alignment.entropic.sampling import Sampling
from alignment.errors import TrainingError

_STEPS = {torch.float64: 1e-6, torch.float32: 1e-3}


@dataclass(frozen=True)
class FiniteDifference:
    """The estimator of two gradients; the rows are split into batches of the size that is simulated.

    Attributes:
        step_length: h, in the parameters' own unit; None is 1e-6 in float64 and 1e-3 in float32, which is no best
            length for every model: see `_usual_length`.
    """

    step_length: float | None = None

    def value(self, problem: Problem, sampling: Sampling) -> Tensor:
        """Returns the estimate of E‖g‖²; see `Estimator.value`."""
        squares = [_length(_gradient(batch, noisy=True)[1]).square() for batch in _batches(problem, sampling)]
        return torch.stack(squares).mean()

    def step(self, problem: Problem, sampling: Sampling, weight: float) -> Step:
        """Returns the loss, the estimate and the gradient of `loss + weight * square`; see `Estimator.step`."""
        batches = _batches(problem, sampling)
        losses, squares = [], []
        total: list[Tensor] | None = None
        for batch in batches:
            loss, square, found = self._one(batch, weight)
            losses.append(loss)
            squares.append(square)
            total = found if total is None else [t.add_(g) for t, g in zip(total, found, strict=True)]
        assert total is not None  # noqa: S101 - a problem has rows
        if len(batches) > 1:
            total = [t.div_(len(batches)) for t in total]
        return Step(torch.stack(losses).mean(), torch.stack(squares).mean(), tuple(total))

    def _one(self, batch: Problem, weight: float) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Returns one batch's loss, ‖g‖², and gradient of `loss + weight * ‖g‖²`."""
        parameters = tuple(batch.parameters.values())
        with ExitStack() as stack, _repeatable(parameters[0].device) as rewind:
            loss, noisy = _gradient(batch, noisy=True)
            stack.enter_context(_unmoved(batch.model))  # running statistics have seen the batch once, which is right
            plain = noisy
            if batch.penalty_targets is not None:
                rewind()
                loss, plain = _gradient(batch, noisy=False)
            length = _length(noisy)
            if not weight or float(length) == 0:
                return loss, length.square(), plain
            rewind()
            h = self.step_length or _usual_length(parameters[0].dtype)
            further = _gradient_at(batch, parameters, noisy, float(h / length))
        # In place: beside the network itself, these sums are most of the memory that a step takes.
        reach = 2 * weight * float(length) / h
        if plain is noisy:
            return loss, length.square(), [near.lerp_(far, reach) for near, far in zip(noisy, further, strict=True)]
        bent = [far.sub_(near).mul_(reach) for far, near in zip(further, noisy, strict=True)]
        return loss, length.square(), [b.add_(own) for b, own in zip(bent, plain, strict=True)]


def _gradient_at(
    batch: Problem, parameters: Sequence[Tensor], direction: Sequence[Tensor], distance: float
) -> list[Tensor]:
    """Returns the gradient further along a direction, leaving the parameters as they were, to the bit."""
    kept = [p.detach().clone() for p in parameters]
    try:
        with torch.no_grad():
            for p, g in zip(parameters, direction, strict=True):
                p.add_(g, alpha=distance)
        return _gradient(batch, noisy=True)[1]
    finally:
        with torch.no_grad():
            for p, old in zip(parameters, kept, strict=True):
                p.copy_(old)


def _usual_length(dtype: torch.dtype) -> float:
    """Returns a length at which small networks erred little: curvature errs with h, rounding with 1 / h.

    On a pretrained model a smaller one can be better in float32: with MiniLM-L3 and a batch of 8 texts the penalty's
    gradient erred by 4e-3 (its last block) to 9e-3 (all of it) of its length at 1e-3, and by 1e-3 to 2e-3 at 1e-4.

    Raises:
        TrainingError: if a number of the dtype has too few digits to be moved so little.
    """
    if dtype not in _STEPS:
        raise TrainingError(f"weights in {dtype} are too coarse for finite differences; keep them in float32")
    return _STEPS[dtype]


def _length(gradient: Sequence[Tensor]) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in gradient]))
    return length


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
def _unmoved(model: nn.Module) -> Iterator[None]:
    """Sets the model's buffers back to what they are now, at the end."""
    kept = [(buffer, buffer.clone()) for buffer in model.buffers()] if model.training else []
    try:
        yield
    finally:
        for buffer, old in kept:
            buffer.copy_(old)


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

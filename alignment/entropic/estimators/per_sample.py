"""PerSample: every row's whole gradient, by torch.func. The oracle: exact, for any model, at b times the memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from alignment.entropic.estimators.differentiable import Differentiable, Squares
from alignment.entropic.estimators.plain_norms import PlainNorms
from alignment.entropic.problem import Problem
from alignment.errors import TrainingError


@dataclass(frozen=True)
class PerSample(Differentiable):
    """The estimator that holds every row's gradient.

    Attributes:
        chunk: how many rows' gradients are held at once where no graph is needed; None holds all.
    """

    chunk: int | None = None

    def squares(self, problem: Problem, *, rows: bool, mean: bool, graph: bool) -> Squares:
        """Returns the squares asked for; see `Differentiable.squares`."""
        if graph and not problem.batched:
            raise TrainingError("torch.func cannot take these rows; use the finite-difference estimator")
        parameters: Mapping[str, Tensor] = problem.parameters
        if not graph:
            parameters = {name: p.detach() for name, p in parameters.items()}
        with torch.set_grad_enabled(graph), sdpa_kernel(SDPBackend.MATH):
            outputs = torch.func.functional_call(problem.model, dict(parameters), (problem.inputs,))
            losses = problem.losses(outputs, problem.targets)
            gradients = row_gradients(problem, parameters, None if graph else self.chunk)
            square = sum((g.square().flatten(1).sum(1) for g in gradients.values()), torch.zeros_like(losses))
            middle = sum((g.mean(0).square().sum() for g in gradients.values()), torch.zeros_like(losses[0]))
        return Squares(losses, square if rows else None, middle if mean else None)


def row_gradients(
    problem: Problem, parameters: Mapping[str, Tensor] | None = None, chunk: int | None = None
) -> dict[str, Tensor]:
    """Returns each row's gradient of the loss with the noisy targets, `[b, *shape]` a parameter.

    Args:
        problem: what the gradients are of.
        parameters: where they are taken; None is where the model stands, without a graph.
        chunk: how many rows are differentiated at once.

    Raises:
        TrainingError: if a row's output depends on other rows or on chance, as with batch norm or dropout.
    """
    if not problem.batched:
        return _one_by_one(problem)
    model = problem.model
    refuse_mixing(model)
    here = dict(parameters) if parameters is not None else {n: p.detach() for n, p in problem.parameters.items()}

    def loss_of(values: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return problem.loss(torch.func.functional_call(model, values, (x[None],)), y[None])[0]

    one = torch.func.vmap(torch.func.grad(loss_of), in_dims=(None, 0, 0), chunk_size=chunk)
    # The fused kernels of attention have neither batching nor second derivatives.
    with sdpa_kernel(SDPBackend.MATH), PlainNorms():
        found: dict[str, Tensor] = one(here, problem.inputs, problem.noisy_targets)
    return found


def _one_by_one(problem: Problem) -> dict[str, Tensor]:
    """Returns each row's gradient where the model stands, without a graph."""
    parameters = problem.parameters
    found: dict[str, list[Tensor]] = {name: [] for name in parameters}
    for row in range(len(problem)):
        one = problem.rows(slice(row, row + 1))
        with torch.enable_grad():
            loss = one.losses(one.model(one.inputs), one.noisy_targets).sum()
        gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
        for (name, parameter), gradient in zip(parameters.items(), gradients, strict=True):
            found[name].append(torch.zeros_like(parameter).detach() if gradient is None else gradient)
    return {name: torch.stack(rows) for name, rows in found.items()}


def refuse_mixing(model: nn.Module) -> None:
    """Refuses a model in which a row's loss depends on the other rows or on chance.

    Raises:
        TrainingError: naming the module.
    """
    for name, module in model.named_modules():
        if not module.training:
            continue
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            raise TrainingError(f"{name} is a batch norm, which mixes rows: a row has no gradient; call model.eval()")
        dropping = isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0
        if dropping or (isinstance(module, (nn.MultiheadAttention, nn.RNNBase)) and module.dropout > 0):
            raise TrainingError(f"{name} is dropout, which makes a row's gradient a matter of chance; set its p to 0")

"""GhostNorm: each row's gradient norm from the layers' inputs and the gradients at their outputs.

Exact, and no row's gradient is formed where that would take more memory. Rules are there for linear layers, embeddings,
layer norm, convolutions, and parameters that are added or multiplied; attention is made of these. What no rule knows is
refused. Source: `factors`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from alignment.entropic.estimators.differentiable import Differentiable, Squares
from alignment.entropic.estimators.factors import Outer, gradients, square_norms
from alignment.entropic.estimators.rules import RULES
from alignment.entropic.estimators.tape import Tape
from alignment.entropic.problem import Problem


@dataclass(frozen=True)
class GhostNorm(Differentiable):
    """The estimator that reads norms off a backward pass."""

    def squares(self, problem: Problem, *, rows: bool, mean: bool, graph: bool) -> Squares:
        """Returns the squares asked for; see `Differentiable.squares`."""
        tape = Tape(problem.parameters, len(problem), RULES)
        with tape, sdpa_kernel(SDPBackend.MATH):  # the fused kernels of attention have no second derivative
            outputs = problem.model(problem.inputs)
        tape.check()
        losses = problem.losses(outputs, problem.targets)
        noisy = losses
        if problem.penalty_targets is not None:
            noisy = problem.losses(outputs, problem.noisy_targets)
        square = _row_squares(tape, noisy, graph=graph, keep=mean) if rows else None
        middle = None
        if mean:
            parameters = tuple(problem.parameters.values())
            found = torch.autograd.grad(noisy.mean(), parameters, create_graph=graph, allow_unused=True)
            middle = sum((g.square().sum() for g in found if g is not None), torch.zeros_like(losses[0]))
        return Squares(losses, square, middle)


def _row_squares(tape: Tape, losses: Float[Tensor, " b"], *, graph: bool, keep: bool) -> Float[Tensor, " b"]:
    at_outputs = torch.autograd.grad(
        losses.sum(), tape.outputs, create_graph=graph, retain_graph=graph or keep, allow_unused=True
    )
    shares: dict[str, list[Outer | Tensor]] = {}
    for use in tape.uses:
        delta = at_outputs[use.output]
        if delta is not None:  # an output that the loss does not depend on
            shares.setdefault(use.name, []).append(use.gradient(delta))
    total = torch.zeros_like(losses)
    for found in shares.values():
        outer = [share for share in found if isinstance(share, Outer)]
        if len(outer) == len(found):
            total = total + square_norms(outer)
            continue
        whole = sum(share for share in found if isinstance(share, Tensor))
        assert isinstance(whole, Tensor)  # noqa: S101 - at least one share is none of the outer ones
        if outer:
            whole = whole + gradients(outer).reshape(whole.shape)
        total = total + whole.square().flatten(1).sum(1)
    return total

"""GhostNorm: each row's gradient norm from the layers' inputs and the gradients at their outputs.

Exact, and no row's gradient is formed where that would take more memory. Rules are there for linear layers, embeddings,
layer norm, convolutions, and parameters that are added or multiplied; attention is made of these. What no rule knows is
refused. Source: `factors`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
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
    if not graph:
        return _streamed(tape, losses, keep=keep)
    at_outputs = torch.autograd.grad(losses.sum(), tape.outputs, create_graph=True, allow_unused=True)
    shares: dict[str, list[Outer | Tensor]] = {}
    for use in tape.uses:
        delta = at_outputs[use.output]
        if delta is not None:  # an output that the loss does not depend on
            shares.setdefault(use.name, []).append(use.gradient(delta))
    return sum((_square(found) for found in shares.values()), torch.zeros_like(losses))


def _streamed(tape: Tape, losses: Float[Tensor, " b"], *, keep: bool) -> Float[Tensor, " b"]:
    """Returns the same without a graph, adding a layer's share as the backward pass comes by and keeping none."""
    total = torch.zeros_like(losses)
    uses = Counter(use.name for use in tape.uses)
    waiting: dict[str, list[Outer | Tensor]] = {}

    def seen(number: int, delta: Tensor) -> None:
        for use in tape.uses:
            if use.output != number:
                continue
            share = use.gradient(delta)
            if uses[use.name] == 1:
                total.add_(_square([share]))
            else:
                waiting.setdefault(use.name, []).append(share)

    whole = losses.sum()
    with torch.no_grad():
        hooks = [
            output.register_hook(lambda delta, number=number: seen(number, delta))  # type: ignore[no-untyped-call]
            for number, output in enumerate(tape.outputs)
        ]
        try:
            # On its way to those that come first, the gradient passes all others.
            torch.autograd.grad(whole, first_outputs(tape.outputs), retain_graph=keep, allow_unused=True)
        finally:
            for hook in hooks:
                hook.remove()
        for found in waiting.values():
            total.add_(_square(found))
    return total


def first_outputs(outputs: Sequence[Tensor]) -> list[Tensor]:
    """Returns those outputs that no other of them went into."""
    known = {output.grad_fn for output in outputs}
    first = []
    for output in outputs:
        ahead = [node for node, _ in output.grad_fn.next_functions] if output.grad_fn is not None else []
        visited: set[object] = set()
        while ahead:
            node = ahead.pop()
            if node in known:
                break
            if node is not None and node not in visited:
                visited.add(node)
                ahead += [further for further, _ in node.next_functions]
        else:
            first.append(output)
    return first


def _square(found: Sequence[Outer | Tensor]) -> Float[Tensor, " b"]:
    """Returns each row's squared norm of what one parameter's uses add up to."""
    outer = [share for share in found if isinstance(share, Outer)]
    if len(outer) == len(found):
        return square_norms(outer)
    whole = sum(share for share in found if isinstance(share, Tensor))
    assert isinstance(whole, Tensor)  # noqa: S101 - at least one share is none of the outer ones
    if outer:
        whole = whole + gradients(outer).reshape(whole.shape)
    return whole.square().flatten(1).sum(1)

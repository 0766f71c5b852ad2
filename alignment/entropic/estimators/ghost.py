"""GhostNorm: each row's gradient norm from the layers' inputs and the gradients at their outputs.

Exact, and no row's gradient is formed where that would take more memory. Rules are there for linear layers, embeddings,
layer norm, convolutions, and parameters that are added or multiplied; attention is made of these. What no rule knows is
refused. Source: `factors`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.graph import GradientEdge
from torch.nn.attention import SDPBackend, sdpa_kernel

from alignment.entropic.estimators.differentiable import Differentiable, Squares
from alignment.entropic.estimators.factors import Outer, gradients, square_norms
from alignment.entropic.estimators.rules import RULES
from alignment.entropic.estimators.tape import Tape, Use
from alignment.entropic.problem import Problem
from alignment.errors import TrainingError


@dataclass(frozen=True)
class GhostNorm(Differentiable):
    """The estimator that reads norms off a backward pass."""

    def squares(self, problem: Problem, *, rows: bool, mean: bool, graph: bool) -> Squares:
        """Returns the squares asked for; see `Differentiable.squares`."""
        if not problem.batched:
            raise TrainingError(
                "rows that are batches of their own have no ghost norm; use the finite-difference estimator"
            )
        tape = Tape(problem.parameters, len(problem), RULES)
        # The fused kernels of attention have no second derivative.
        with tape, sdpa_kernel(SDPBackend.MATH) if graph else nullcontext():
            outputs = problem.model(problem.inputs)
        tape.check()
        if any(len(problem) in shape[1:-1] for shape in (problem.inputs.shape, *tape.shapes)):
            _check_alone(problem, tape)
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
    """Returns each row's square, a layer's share added as the backward pass comes by.

    Without a graph nothing is kept of it. With one, a share's own backward pass runs between those of the layers around
    it, for autograd takes what was made last first: were all shares made at the end, the gradients by all layers'
    deltas would wait at once.
    """
    total = torch.zeros_like(losses)
    counts = Counter(use.name for use in tape.uses)
    uses: dict[int, list[Use]] = {}
    while tape.uses:  # each is then held only until the pass has been by
        use = tape.uses.pop()
        uses.setdefault(use.output, []).append(use)
    waiting: dict[str, list[Outer | Tensor]] = {}

    def seen(number: int, delta: Tensor | None) -> None:
        nonlocal total
        if delta is None:  # the loss does not depend on this output
            return
        for use in uses.pop(number, []):
            share = use.gradient(delta)
            waiting.setdefault(use.name, []).append(share)
            if len(waiting[use.name]) == counts[use.name]:
                total = total + _square(waiting.pop(use.name))

    def hook(number: int, place: int) -> Callable[[tuple[Tensor | None, ...]], None]:
        return lambda deltas: seen(number, deltas[place])

    hooks = [edge.node.register_prehook(hook(number, edge.output_nr)) for number, edge in enumerate(tape.outputs)]
    first = first_outputs(tape.outputs)
    ends = [tape.outputs[number] for number in first]
    try:
        # On its way to those that come first, the gradient passes all others.
        found = torch.autograd.grad(
            losses.sum(), ends, retain_graph=keep or graph, create_graph=graph, allow_unused=True
        )
    finally:
        for each in hooks:
            each.remove()
    with torch.set_grad_enabled(graph):
        for number, delta in zip(first, found, strict=True):
            seen(number, delta)
        for shares in waiting.values():  # of parameters some of whose uses the loss does not depend on
            total = total + _square(shares)
    return total


def _check_alone(problem: Problem, tape: Tape) -> None:
    """Checks by the first row alone that what was taken for rows is rows: there are as many of something else.

    Raises:
        TrainingError: if it is not.
    """
    alone = Tape(problem.parameters, 1, RULES)
    gpu = [problem.inputs.device] if problem.inputs.is_cuda else []
    with torch.no_grad(), torch.random.fork_rng(gpu), alone:
        problem.model(problem.inputs[:1])
    if [shape[1:] for shape in alone.shapes] != [shape[1:] for shape in tape.shapes]:
        raise TrainingError(
            f"{len(problem)} rows are as many as there are positions, and one is taken for the other; give another "
            "number of rows, the batch as the first dimension of every layer's input, or use the finite-difference "
            "estimator"
        )


def first_outputs(outputs: Sequence[GradientEdge]) -> list[int]:
    """Returns the numbers of those outputs that no other of them went into."""
    known = {output.node for output in outputs}
    first = []
    for number, output in enumerate(outputs):
        ahead = [node for node, _ in output.node.next_functions]
        visited: set[object] = set()
        while ahead:
            node = ahead.pop()
            if node in known:
                break
            if node is not None and node not in visited:
                visited.add(node)
                ahead += [further for further, _ in node.next_functions]
        else:
            first.append(number)
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

"""Verify: whether a model has the symmetries that its names promise, by using each of them on its weights.

Names can mislead: a rotation or a norm between queries and keys may be no module of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from alignment.entropic.balance import trained_heads, trained_units
from alignment.entropic.chance import generator, invertible, log_uniform
from alignment.entropic.problem import Problem
from alignment.entropic.symmetry import Absence, Heads, Symmetries, Units, symmetries
from alignment.errors import TrainingError

_SIZES = (0.5, 2.0)  # of the singular values and factors that are tried
_ROUNDING = 1e4  # in units of the dtype's own
_SHARE = 1e-2  # of what one side alone does: models that round within, to float32, move by more than rounding


def verified(problem: Problem) -> Symmetries:
    """Returns the model's symmetries, those under which its outputs change moved to what is absent.

    Args:
        problem: the model, in float64, which is left as it was to the bit; its outputs are compared on the first row.

    Raises:
        TrainingError: if it computes in another dtype, whose rounding hides a false symmetry's small change.
    """
    if any(p.dtype != torch.float64 for p in problem.parameters.values()):
        raise TrainingError("symmetries are tried in float64 alone, for less digits hide small changes")
    found, one = symmetries(problem.model), problem.rows(slice(0, 1))
    absent = []
    wrong: set[int] = set()
    for group in trained_units(problem, found):
        if _moves(one, group.incoming, (group.outgoing,), lambda p, group=group: _rescale(group, p)):  # type: ignore[misc]
            wrong.add(id(group))
            absent.append(Absence(group.place, "unit", "rescaling its units was tried, and changes the outputs"))
    for pair in trained_heads(problem, found):
        if _moves(one, pair.left, pair.right, lambda p, pair=pair: _turn(pair, p)):  # type: ignore[misc]
            wrong.add(id(pair))
            what = "queries and keys" if pair.kind == "query_key" else "values and outputs"
            absent.append(Absence(pair.place, "head", f"turning {what} together was tried, and changes the outputs"))
    return replace(
        found,
        units=tuple(group for group in found.units if id(group) not in wrong),
        layers=() if any(id(group) in wrong for group in found.units) else found.layers,
        heads=tuple(pair for pair in found.heads if id(pair) not in wrong),
        absent=(*found.absent, *absent),
    )


def turned(pair: Heads, head: int, a: Tensor, parameters: Mapping[str, Tensor]) -> None:
    """Multiplies a head's left side by A and its right side by what undoes it, in place.

    Args:
        pair: the projections.
        head: its number.
        a: `[width, width]`, invertible.
        parameters: by name.
    """
    rows = slice(head * len(a), (head + 1) * len(a))
    inverse = torch.linalg.inv(a)
    for name in pair.left:
        parameters[name][rows] = a.to(parameters[name]) @ parameters[name][rows]
    for name in pair.right:
        value = parameters[name]
        if pair.kind == "query_key":
            value[rows] = inverse.T.to(value) @ value[rows]
        else:
            value[:, rows] = value[:, rows] @ inverse.to(value)


def _moves(
    problem: Problem, one: tuple[str, ...], other: tuple[str, ...], change: Callable[[dict[str, nn.Parameter]], None]
) -> bool:
    """Returns whether the outputs move, by more than rounding and by more than a small share of what one side does."""
    parameters = problem.parameters
    kept = {name: parameters[name].detach().clone() for name in (*one, *other)}
    with torch.no_grad():
        before = problem.model(problem.inputs)
        try:
            change({name: parameters[name] for name in kept})
            both = (problem.model(problem.inputs) - before).abs().max()
            for name in other:
                parameters[name].copy_(kept[name])
            alone = (problem.model(problem.inputs) - before).abs().max()
        finally:
            for name, old in kept.items():
                parameters[name].copy_(old)
    rounding = _ROUNDING * torch.finfo(before.dtype).eps * before.abs().max()
    return not bool(both <= torch.maximum(rounding, _SHARE * alone))


def _rescale(group: Units, parameters: dict[str, nn.Parameter]) -> None:
    count = len(parameters[group.incoming[0]])
    factor = log_uniform(generator(0, "verify", group.place), *_SIZES, count)
    for name in group.incoming:
        value = parameters[name]
        value.mul_(factor.to(value).reshape(-1, *[1] * (value.ndim - 1)))
    parameters[group.outgoing].div_(factor.to(parameters[group.outgoing])[None])


def _turn(pair: Heads, parameters: dict[str, nn.Parameter]) -> None:
    width = len(parameters[pair.left[0]]) // pair.heads
    for head in range(pair.heads):
        turned(pair, head, invertible(generator(0, "verify", pair.place, head), width, *_SIZES), parameters)

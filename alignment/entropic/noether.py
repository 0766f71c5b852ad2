"""The exact discrete Noether identity: how one gradient step moves the charge of each symmetry.

If every batch's loss is invariant under θ → exp(tK) θ with K symmetric, then for any step η, without approximation,

    Q(θ - η(g + 2γθ)) = (1 - 2ηγ)² Q(θ) + η² gᵀ K g,    Q(θ) = θᵀ K θ,

with g the gradient without the decay γ‖θ‖². Derived for this project; first order: arXiv 2402.07193.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from alignment.entropic.balance import trained_heads, trained_units, unit_sums
from alignment.entropic.problem import Problem
from alignment.entropic.symmetry import Heads, symmetries


@dataclass(frozen=True)
class NoetherCheck:
    """How well the identity holds for one symmetry.

    Attributes:
        place: the layer or attention module.
        kind: `unit`, `query_key` or `value_output`.
        error: ‖left - right‖ / ‖η² gᵀ K g‖ over the symmetry's charges, with `left` the measured change.
    """

    place: str
    kind: str
    error: float


def noether(problem: Problem, rate: float, decay: float = 0.0) -> tuple[NoetherCheck, ...]:
    """Returns, for each symmetry of the model, the identity's relative error in one step on all rows as one batch.

    Args:
        problem: the model, which is left as it is, the loss and the batch.
        rate: η.
        decay: γ.
    """
    found = symmetries(problem.model)
    names = list(problem.parameters)
    loss = problem.losses(problem.model(problem.inputs), problem.targets).mean()
    gradients = torch.autograd.grad(loss, list(problem.parameters.values()), allow_unused=True)
    found_g = zip(problem.parameters.items(), gradients, strict=True)
    g = {name: torch.zeros_like(p) if value is None else value for (name, p), value in found_g}
    old = {name: p.detach() for name, p in problem.parameters.items()}
    new = {name: old[name] - rate * (g[name] + 2 * decay * old[name]) for name in names}
    keep = (1 - 2 * rate * decay) ** 2
    checks = []
    for group in trained_units(problem, found):
        charges = [_unit_charge(unit_sums(group, {n: v.square() for n, v in at.items()})) for at in (new, old, g)]
        checks.append(NoetherCheck(group.place, "unit", _error(charges, keep, rate)))
    for pair in trained_heads(problem, found):
        charges = [_head_charge(pair, at) for at in (new, old, g)]
        checks.append(NoetherCheck(pair.place, pair.kind, _error(charges, keep, rate)))
    return tuple(checks)


def _error(charges: list[Tensor], keep: float, rate: float) -> float:
    after, before, force = charges
    moved = rate**2 * force
    return float((after - keep * before - moved).norm() / moved.norm())


def _unit_charge(sums: tuple[Tensor, Tensor]) -> Tensor:
    return sums[0] - sums[1]


def _head_charge(pair: Heads, values: Mapping[str, Tensor]) -> Tensor:
    def gram(names: tuple[str, ...], *, columns: bool) -> Tensor:
        parts = [values[name] if values[name].ndim == 2 else values[name][:, None] for name in names]
        rows = parts[0].T if columns else torch.cat(parts, 1)
        split = rows.reshape(pair.heads, -1, rows.shape[1])
        return torch.matmul(split, split.transpose(1, 2))

    return gram(pair.left, columns=False) - gram(pair.right, columns=pair.kind == "value_output")

"""Rebalancing: the closed-form projection of a network onto gradient balance, which leaves its function as it is.

Under unit rescalings each E g_p² scales by λ⁻² or λ², so the entropy is convex in log λ and Osborne's matrix-balancing
sweeps minimise it; for a head's A, with X = A Aᵀ, balance is X M_right X = M_left, solved by the geometric mean. The
moments are taken once. Derived for this project.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from alignment.entropic.balance import (
    Balance,
    balance,
    balance_of,
    forms,
    key,
    trained_heads,
    trained_units,
    unit_sums,
)
from alignment.entropic.moments import expectations
from alignment.entropic.problem import Problem
from alignment.entropic.sampling import Sampling
from alignment.entropic.symmetry import Heads, Symmetries, Units, symmetries
from alignment.entropic.verify import turned
from alignment.errors import TrainingError

_SWEEPS = 10_000
_ROUNDING = 1e5  # in units of the dtype's own: a badly conditioned head loses some digits
_SINGULAR = 1e-12  # a head whose moments' smallest eigenvalue is less, of the largest, has no finite balance


@dataclass(frozen=True)
class Rebalanced:
    """What rebalancing did.

    Attributes:
        before: the balance that was found.
        after: the balance measured anew.
        function_change: the largest change of an output, relative to the largest output.
        sweeps: how many sweeps over the units there were.
        skipped: heads that were left as they are, and why.
    """

    before: Balance
    after: Balance
    function_change: float
    sweeps: int
    skipped: tuple[str, ...]


def rebalance(problem: Problem, sampling: Sampling | None = None, found: Symmetries | None = None) -> Rebalanced:
    """Rebalances `problem.model` in place: its function stays, its E_B‖g_B‖² falls as far as rescaling can bring it.

    Args:
        problem: the model, the loss and the data that gradients are taken on.
        sampling: batches as in training; None takes single rows.
        found: the model's symmetries; None reads them off its names.

    Raises:
        TrainingError: if the model has no symmetry that could be used, with the reasons, or its function would change.
    """
    sampling = sampling or Sampling()
    found = found or symmetries(problem.model)
    units, heads = trained_units(problem, found), trained_heads(problem, found)
    if not units and not heads:
        reasons = (
            "; ".join(f"{a.place or 'the model'}: {a.reason}" for a in found.absent) or "no two linear layers meet"
        )
        raise TrainingError(f"nothing in this model can be rebalanced without changing its function ({reasons})")
    values = expectations(problem, sampling, forms(problem, found))
    before = balance_of(problem, found, values)
    parameters = problem.parameters
    kept = {name: p.detach().clone() for name, p in parameters.items()}
    with torch.no_grad():
        outputs = problem.model(problem.inputs)
        sweeps = _balance_units(units, values, parameters)
        skipped = [reason for pair in heads for reason in _balance_heads(pair, values, parameters)]
        change = (problem.model(problem.inputs) - outputs).abs().max() / outputs.abs().max()
        if not change <= _ROUNDING * torch.finfo(outputs.dtype).eps:
            for name, old in kept.items():
                parameters[name].copy_(old)
            raise TrainingError(
                f"rescaling moved the outputs by {float(change):.1e} of their size, so the model uses its weights in "
                "another way than its layers say; it was left as it is"
            )
    return Rebalanced(before, balance(problem, sampling, found=found), float(change), sweeps, tuple(skipped))


def _balance_units(units: list[Units], values: dict[str, Tensor], parameters: Mapping[str, Tensor]) -> int:
    """Rescales units until no sweep moves any by more than rounding; returns how many sweeps there were."""
    moments = {name: values[name].clone() for name in parameters}
    scale = {group.place: torch.ones(len(moments[group.incoming[0]]), dtype=torch.float64) for group in units}
    sweeps = 0
    moved = float("inf") if units else 0.0
    while moved > 4 * torch.finfo(torch.float64).eps and sweeps < _SWEEPS:
        moved, sweeps = 0.0, sweeps + 1
        for group in units:
            entering, leaving = (side.double().cpu() for side in unit_sums(group, moments))
            usable = (entering > 0) & (leaving > 0)  # else no λ is the best
            factor = torch.where(usable, entering / leaving.where(usable, torch.ones_like(leaving)), 1.0) ** 0.25
            moved = max(moved, float((factor - 1).abs().max()))
            scale[group.place] *= factor
            _rescale(group, factor.square().reciprocal(), moments)
    for group in units:
        _rescale(group, scale[group.place], parameters)
    return sweeps


def _rescale(group: Units, factor: Float[Tensor, " n"], values: Mapping[str, Tensor]) -> None:
    """Multiplies what enters each unit by its factor, and divides what leaves it, in place."""
    for name in group.incoming:
        value = values[name]
        value.mul_(factor.to(value).reshape(-1, *[1] * (value.ndim - 1)))
    values[group.outgoing].div_(factor.to(values[group.outgoing])[None])


def _balance_heads(pair: Heads, values: Mapping[str, Tensor], parameters: Mapping[str, Tensor]) -> list[str]:
    """Balances each head of a pair; returns why a head was left as it is."""
    skipped = []
    left, right = values[f"left {key(pair)}"].double(), values[f"right {key(pair)}"].double()
    width = left.shape[1]
    for head in range(pair.heads):
        spectra = [torch.linalg.eigvalsh(side[head]) for side in (left, right)]
        if any(float(s[0]) <= _SINGULAR * float(s[-1]) for s in spectra):
            skipped.append(
                f"{key(pair)} head {head}: its gradients do not span the head's {width} dimensions; give more data"
            )
            continue
        a = _power(_geometric(left[head], right[head]), 0.5)
        turned(pair, head, a, parameters)
    return skipped


def _geometric(left: Float[Tensor, "n n"], right: Float[Tensor, "n n"]) -> Float[Tensor, "n n"]:
    """Returns the positive X with X right X = left."""
    root, back = _power(right, 0.5), _power(right, -0.5)
    return back @ _power(root @ left @ root, 0.5) @ back


def _power(matrix: Float[Tensor, "n n"], exponent: float) -> Float[Tensor, "n n"]:
    values, vectors = torch.linalg.eigh((matrix + matrix.T) / 2)
    return torch.matmul(vectors * values.clamp(min=0) ** exponent, vectors.T)

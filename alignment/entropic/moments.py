"""Moments: expectations over batches of quadratic forms of the gradient.

For any quadratic form q, E_B q(g_B) = α mean q(g_i) + β q(mean g_i) with the α and β of `Sampling.weights`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from alignment.entropic.estimators import row_gradients
from alignment.entropic.problem import Problem
from alignment.entropic.sampling import Sampling
from alignment.errors import TrainingError

Gradients = Mapping[str, Tensor]  # `[b, *shape]` a parameter
Form = Callable[[Gradients], Tensor]  # from gradients to `[b, …]`, quadratic in each row's
_HELD = 1 << 25  # numbers of row gradients held at once


def expectations(problem: Problem, sampling: Sampling, forms: Mapping[str, Form]) -> dict[str, Tensor]:
    """Returns E_B q(g_B) of each form, in the parameters' dtype, without a graph.

    Args:
        problem: what the gradients are of; its noisy targets are taken.
        sampling: what B is.
        forms: what to take the expectation of, by name.

    Raises:
        TrainingError: if a row of the model has no gradient of its own.
    """
    alpha, beta = sampling.weights(len(problem))
    size = sum(p.numel() for p in problem.parameters.values())
    chunk = max(1, _HELD // size)
    totals: dict[str, Tensor] = {}
    mean: dict[str, Tensor] = {}
    for at in range(0, len(problem), chunk):
        rows = row_gradients(problem.rows(slice(at, at + chunk)))
        for name, form in forms.items():
            share = form(rows).sum(0) / len(problem)
            totals[name] = totals[name] + share if name in totals else share
        for name, values in rows.items() if beta else ():
            share = values.sum(0) / len(problem)
            mean[name] = mean[name] + share if name in mean else share
    middle = {name: values[None] for name, values in mean.items()}
    if not beta:  # single rows: the mean takes no part
        return {name: alpha * total for name, total in totals.items()}
    return {name: alpha * total + beta * forms[name](middle)[0] for name, total in totals.items()}


def squares(name: str) -> Form:
    """Returns the form g_p² of each entry of a parameter."""
    return lambda gradients: gradients[name].square()


def entropy(problem: Problem, sampling: Sampling) -> float:
    """Returns E_B‖g_B‖², the sum over all trained parameters."""
    forms = {name: squares(name) for name in problem.parameters}
    return sum(float(value.sum()) for value in expectations(problem, sampling, forms).values())


def preconditioned_entropy(
    problem: Problem,
    sampling: Sampling,
    strength: float,
    second: Mapping[str, Tensor] | None = None,
    eps: float = 1e-8,
) -> float:
    """Returns (η / 4) Σ_p E g_p² / (√v_p + eps), the entropy of Adam's or RMSprop's step. An approximation.

    It leaves out how v follows the parameters, momentum and bias correction: a diagnostic, not a theorem.

    Args:
        problem: what the gradients are of.
        sampling: what batches are.
        strength: η, the optimizer's rate.
        second: the optimizer's v by parameter; None takes the steady state v_p = E g_p².
        eps: the optimizer's.

    Raises:
        TrainingError: if v lacks a parameter.
    """
    found = expectations(problem, sampling, {name: squares(name) for name in problem.parameters})
    total = 0.0
    for name, moment in found.items():
        if second is not None and name not in second:
            raise TrainingError(f"the second moments lack {name!r}; give one a trained parameter")
        v = moment if second is None else second[name]
        total += float((moment / (torch.sqrt(v) + eps)).sum())
    return strength / 4 * total

"""Chain: the gradient of a deep linear network by hand, and its curvature, for the many small steps of plain descent.

In numpy: a step of a few microseconds a layer, where a graph would cost ten times as much.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def chain_gradients(weights: Sequence[Array], map_out: Array, x: Array, y: Array) -> tuple[float, list[Array]]:
    """Returns the mean over rows of ‖f(x) - y‖², and its gradient by each weight.

    Args:
        weights: W_1 … W_D, each `[out, in]`.
        map_out: the fixed matrix behind them.
        x: `[n, in]`, behind the fixed matrix before them.
        y: `[n, out]`.
    """
    states = [x]
    for weight in weights:
        states.append(states[-1] @ weight.T)
    residual = states[-1] @ map_out.T - y
    loss = float(np.vdot(residual, residual)) / len(x)
    delta = (2.0 / len(x)) * (residual @ map_out)
    found: list[Array] = []
    for depth in range(len(weights) - 1, -1, -1):
        found.append(delta.T @ states[depth])
        if depth:
            delta = delta @ weights[depth]
    return loss, found[::-1]


def largest_curvature(weights: Sequence[Array], map_out: Array, x: Array) -> float:
    """Returns the largest eigenvalue of 2 JᵀJ of any row, J the derivative of its outputs by all weights.

    Where a row is fitted exactly that is its loss's Hessian. Infinite where a number is no longer finite.

    Args:
        weights: W_1 … W_D, each `[out, in]`.
        map_out: the fixed matrix behind them.
        x: `[n, in]`, behind the fixed matrix before them.
    """
    squares, states = [], x
    for weight in weights:
        squares.append(np.square(states).sum(1))
        states = states @ weight.T
    kernels, behind = np.zeros((len(x), *map_out.shape)), map_out
    for weight, square in zip(reversed(weights), reversed(squares), strict=True):
        kernels += square[:, None, None] * (behind @ behind.T)  # J Jᵀ, a layer's share
        behind = behind @ weight
    return 2 * float(np.linalg.eigvalsh(kernels)[:, -1].max()) if np.isfinite(kernels).all() else math.inf

"""Chain: the gradient of a deep linear network by hand, in numpy, for the many small steps of plain descent.

A step of a few microseconds a layer, where a graph would cost ten times as much.
"""

from __future__ import annotations

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

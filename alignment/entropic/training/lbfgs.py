"""LBFGS: a quasi-Newton stage on an entropic loss over all rows; for smooth networks only.

On ReLU networks the penalty is only piecewise smooth and the line search stalls at the kinks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from alignment.entropic.loss import EntropicLoss
from alignment.entropic.problem import Loss, Problem
from alignment.entropic.training.trainee import NotFiniteError


@dataclass(frozen=True, eq=False)
class Lbfgs:
    """A stage of L-BFGS with a strong Wolfe line search.

    Attributes:
        steps: iterations.
        objective: what is minimised.
        loss: a row's loss.
        inputs: all rows.
        targets: theirs.
        history: how many past steps the curvature is read from.
    """

    steps: int
    objective: EntropicLoss
    loss: Loss
    inputs: Tensor
    targets: Tensor
    history: int = 50

    def begin(self, model: nn.Module) -> RunningLbfgs:
        """Returns it, running."""
        return RunningLbfgs(self, Problem(model, self.loss, self.inputs, self.targets))


class RunningLbfgs:
    """L-BFGS at work."""

    def __init__(self, stage: Lbfgs, problem: Problem) -> None:
        self._stage, self._problem = stage, problem
        self._parameters = list(problem.parameters.values())
        self._optimizer = torch.optim.LBFGS(
            self._parameters,
            tolerance_grad=1e-13,
            tolerance_change=1e-16,
            history_size=stage.history,
            line_search_fn="strong_wolfe",
        )

    def advance(self, first: int, count: int) -> float:
        """Takes `count` iterations; fewer if there is nothing left to gain."""
        group = self._optimizer.param_groups[0]
        group["max_iter"], group["max_eval"] = count, count * 5 // 4 + 1
        seen = math.nan

        def closure() -> float:
            nonlocal seen
            value = self._stage.objective.backward(self._problem)
            seen = value.loss
            if not math.isfinite(value.total):
                raise NotFiniteError(first + 1)
            return value.total

        self._optimizer.step(closure)  # type: ignore[no-untyped-call]
        if not all(bool(p.isfinite().all()) for p in self._parameters):
            raise NotFiniteError(first + count)
        return seen

    def state(self) -> Mapping[str, Any]:
        """Returns the optimizer's own state; its scratch space is left out."""
        return {k: v for k, v in self._optimizer.state[self._parameters[0]].items() if k != "al"}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up such a state."""
        self._optimizer.state[self._parameters[0]].update(state)

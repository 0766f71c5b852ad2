"""Descent: plain gradient descent of a deep linear network, on all rows or on random batches."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from alignment.entropic.training.chain import chain_gradients, largest_curvature
from alignment.entropic.training.trainee import NotFiniteError
from alignment.errors import TrainingError
from alignment.models import DenseNetwork

_LOOK = 100  # steps between two looks at the curvature


@dataclass(frozen=True, eq=False)
class Descent:
    """A stage of gradient descent.

    Attributes:
        steps: how many.
        rate: η; the last fifth of the steps falls linearly to 0 where `batch` is given.
        inputs: all rows.
        targets: theirs.
        decay: γ of γ‖θ‖².
        batch: rows a step, drawn with replacement; None takes all, which is no stochastic descent.
        seed: what batches are drawn from.
        member: `a` or `b`, which draws its own batches.
        bound: what the rate times the largest curvature of a row may be, looked at every 100 steps; from 2 on, a step
            makes the row that it sees worse, to first order. Infinite leaves the rate as it is.
    """

    steps: int
    rate: float
    inputs: Tensor
    targets: Tensor
    decay: float = 0.0
    batch: int | None = None
    seed: int = 0
    member: str = "a"
    bound: float = math.inf

    def begin(self, model: nn.Module) -> RunningDescent:
        """Returns it, running.

        Raises:
            TrainingError: if the model is no linear network without biases.
        """
        if not isinstance(model, DenseNetwork) or model.config.activation != "linear" or model.config.bias:
            raise TrainingError("descent by hand is for linear networks without biases")
        return RunningDescent(self, model)


class RunningDescent:
    """Gradient descent at work."""

    def __init__(self, stage: Descent, model: DenseNetwork) -> None:
        self._stage, self._model = stage, model
        maps = model.config.maps
        outputs = model.config.widths[-1]
        self._map_out = model.map_out.numpy() if maps else np.eye(outputs)
        self._x = (stage.inputs @ model.map_in.T if maps else stage.inputs).numpy()
        self._y = stage.targets.numpy()
        self._most = math.inf

    def advance(self, first: int, count: int) -> float:
        """Takes `count` steps; curvature is looked at from the first of them on."""
        stage, loss = self._stage, math.nan
        parameters = [p.detach() for p in self._model.parameters()]
        weights = [p.numpy() for p in parameters]  # views: the network moves with them
        # Batches are drawn from the number of their first step, so no state of chance has to be kept.
        random = np.random.default_rng([stage.seed, ord(stage.member[0]), first])
        size = stage.batch or len(self._x)
        drawn = random.integers(len(self._x), size=(count, size)) if stage.batch else None
        with np.errstate(over="ignore", invalid="ignore"):
            for number in range(count):
                if math.isfinite(stage.bound) and number % _LOOK == 0:
                    steepest = largest_curvature(weights, self._map_out, self._x) + 2 * stage.decay
                    self._most = stage.bound / steepest if steepest else math.inf
                rate = self._rate(first + number)
                rows = slice(None) if drawn is None else drawn[number]
                loss, gradients = chain_gradients(weights, self._map_out, self._x[rows], self._y[rows])
                if not math.isfinite(loss):
                    raise NotFiniteError(first + number + 1)
                keep = 1 - 2 * rate * stage.decay
                for weight, gradient in zip(weights, gradients, strict=True):
                    if stage.decay:
                        weight *= keep
                    weight -= rate * gradient
        if not all(bool(torch.isfinite(p).all()) for p in parameters):
            raise NotFiniteError(first + count)
        return loss

    def state(self) -> Mapping[str, Any]:
        """Returns nothing: the weights and the step's number are all that the next step depends on."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up nothing."""

    def _rate(self, step: int) -> float:
        left = 1 - step / self._stage.steps
        return min(self._stage.rate, self._most) * (min(1.0, left / 0.2) if self._stage.batch else 1.0)

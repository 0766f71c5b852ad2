"""Trainee: one network in training, which advances piece by piece and can be put down and taken up between pieces."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from alignment.errors import DivergenceError


@runtime_checkable
class Piece(Protocol):
    """One stage of a training: an optimizer on a loss, for so many steps."""

    @property
    def steps(self) -> int:
        """How many steps it has."""

    def begin(self, model: nn.Module) -> Running:
        """Returns it, running, from where the model stands."""


@runtime_checkable
class Running(Protocol):
    """A stage that has begun."""

    def advance(self, first: int, count: int) -> float:
        """Takes steps `first` to `first + count` of the stage and returns the last loss that was seen."""

    def state(self) -> Mapping[str, Any]:
        """Returns all that the next step depends on, beside the weights."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up such a state."""


@runtime_checkable
class Telling(Protocol):
    """A stage that tells of each of its steps, which are slow enough for someone to wait for.

    Attributes:
        tell: called with how many steps of the advance under way are taken; what it raises stops the stage.
    """

    tell: Callable[[int], None]


def quiet(steps: int) -> None:
    """Tells nobody."""


@dataclass(eq=False)
class Trainee:
    """One network and its stages.

    Attributes:
        member: `a` or `b`.
        model: the network, trained in place.
        stages: one after the other.
        chunk: steps between two moments at which it can be put down.
        advice: what to lower if the loss is no longer a number.
        stage: the number of the current stage.
        step: steps taken in it.
        loss: the last loss seen; NaN before the first step.
    """

    member: str
    model: nn.Module
    stages: Sequence[Piece]
    chunk: int
    advice: str
    stage: int = 0
    step: int = 0
    loss: float = math.nan
    running: Running | None = None

    @property
    def total(self) -> int:
        """How many steps all stages have."""
        return sum(stage.steps for stage in self.stages)

    @property
    def taken(self) -> int:
        """How many steps were taken so far."""
        return sum(stage.steps for stage in self.stages[: self.stage]) + self.step

    @property
    def done(self) -> bool:
        """Whether all steps were taken."""
        return self.stage >= len(self.stages)

    def advance(self, tell: Callable[[int], None] = quiet) -> None:
        """Takes up to `chunk` steps of the current stage.

        Args:
            tell: called with how many of them are taken, by a stage that tells.

        Raises:
            DivergenceError: if the loss or a weight is no longer finite, naming the step.
        """
        if self.done:
            return
        stage = self.stages[self.stage]
        if self.running is None:
            self.running = stage.begin(self.model)
        if isinstance(self.running, Telling):
            self.running.tell = tell
        count = min(self.chunk, stage.steps - self.step)
        before = self.taken
        try:
            self.loss = self.running.advance(self.step, count)
        except NotFiniteError as error:
            at = before - self.step + error.step
            raise DivergenceError(
                f"network {self.member} diverged at step {at}: its loss is no longer a finite number; {self.advice}"
            ) from error
        self.step += count
        if self.step >= stage.steps:
            self.stage, self.step, self.running = self.stage + 1, 0, None

    def state(self) -> dict[str, Any]:
        """Returns all that is needed to go on."""
        return {
            "stage": self.stage,
            "step": self.step,
            "loss": self.loss,
            "weights": dict(self.model.state_dict()),
            "running": None if self.running is None else self.running.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up what `state` gave."""
        self.stage, self.step, self.loss = state["stage"], state["step"], state["loss"]
        weights: Mapping[str, Tensor] = state["weights"]
        self.model.load_state_dict(dict(weights), strict=True)
        self.running = None
        if state["running"] is not None:
            self.running = self.stages[self.stage].begin(self.model)
            self.running.restore(state["running"])


class NotFiniteError(ArithmeticError):
    """A loss that is no finite number.

    Attributes:
        step: the stage's step at which it was seen.
    """

    def __init__(self, step: int) -> None:
        super().__init__(f"step {step}")
        self.step = step

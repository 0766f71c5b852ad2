"""ContrastiveStage: Adam on the contrastive task, with the entropy by two gradients a step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn

from alignment.entropic.chance import generator
from alignment.entropic.estimators import FiniteDifference
from alignment.entropic.loss import EntropicLoss
from alignment.entropic.pretrained.contrastive import Contrastive
from alignment.entropic.training.moments import moments, take_up
from alignment.entropic.training.trainee import NotFiniteError


@dataclass(frozen=True, eq=False)
class ContrastiveStage:
    """The one stage of a fine-tuning.

    Attributes:
        steps: how many.
        rate: the largest; it falls to 0 along a cosine.
        task: the model with its items.
        batch: items a step.
        strength: η; 0 is the plain objective.
        decay: γ.
        seed: what batches and views come from.
    """

    steps: int
    rate: float
    task: Contrastive
    batch: int
    strength: float
    decay: float
    seed: int

    def begin(self, model: nn.Module) -> RunningContrastive:
        """Returns it, running."""
        return RunningContrastive(self, model)

    def draw(self, step: int) -> Int[Tensor, "1 draw"]:
        """Returns the batch of a step, which the seed and the step's number alone decide."""
        return self.task.batches(self.batch, generator(self.seed, "finetune", step))[:1]


class RunningContrastive:
    """The stage at work."""

    def __init__(self, stage: ContrastiveStage, model: nn.Module) -> None:
        self._stage = stage
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        self._optimizer = torch.optim.Adam(self._parameters, lr=stage.rate)
        # A row is a whole batch here, so the entropy of single rows is that of batches.
        self._objective = EntropicLoss(stage.strength, stage.decay, FiniteDifference())

    def advance(self, first: int, count: int) -> float:
        """Takes `count` steps."""
        stage, loss = self._stage, math.nan
        for number in range(first, first + count):
            self._optimizer.param_groups[0]["lr"] = stage.rate * (1 + math.cos(math.pi * number / stage.steps)) / 2
            value = self._objective.backward(stage.task.problem(stage.draw(number)))
            if not math.isfinite(value.total):
                raise NotFiniteError(number + 1)
            self._optimizer.step()
            loss = value.loss
        if not all(bool(p.isfinite().all()) for p in self._parameters):
            raise NotFiniteError(first + count)
        return loss

    def state(self) -> Mapping[str, Any]:
        """Returns the moments by the parameter's number."""
        return moments(self._optimizer, self._parameters)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up such a state."""
        take_up(self._optimizer, self._parameters, state)

"""Minibatch: a stage of Adam, AdamW or plain descent on an entropic loss, on data in batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from alignment.entropic.chance import generator
from alignment.entropic.loss import EntropicLoss
from alignment.entropic.problem import Loss, Problem, sampled_labels
from alignment.entropic.training.moments import moments, take_up
from alignment.entropic.training.trainee import NotFiniteError, quiet

Method = Literal["adam", "adamw", "sgd"]


@dataclass(frozen=True, eq=False)
class Minibatch:
    """A stage on random batches.

    Attributes:
        steps: how many.
        rate: the largest; it falls to 0 along a cosine.
        objective: what is minimised.
        loss: a row's loss.
        inputs: all rows.
        targets: theirs.
        batch: rows a step, drawn with replacement; None takes all.
        hide: makes a step's inputs and targets of its rows' inputs, before anything is computed: what is hidden of them
            is then the same in all that the step computes. None takes the rows as they are.
        labels: the entropy's targets: `true`, or `sampled` from the model's own softmax at each step.
        method: what takes the steps. With `adamw` each step shrinks the weights by 2 γ times the rate, beside the
            gradient's own step; with the others γ‖θ‖² is part of the loss.
        anneal: the share of the strength that is left at the end; it falls to it over the second half.
        seed: what batches and labels are drawn from, each by a generator of its own: whatever the labels, the batches
            are the same.
        member: `a` or `b`, which draws its own.
    """

    steps: int
    rate: float
    objective: EntropicLoss
    loss: Loss
    inputs: Tensor
    targets: Tensor
    batch: int | None = None
    hide: Callable[[Tensor, torch.Generator], tuple[Tensor, Tensor]] | None = None
    labels: Literal["true", "sampled"] = "true"
    method: Method = "adam"
    anneal: float = 1.0
    seed: int = 0
    member: str = "a"

    def begin(self, model: nn.Module) -> RunningMinibatch:
        """Returns it, running."""
        return RunningMinibatch(self, model)

    def strength(self, step: int) -> float:
        """Returns the strength at a step.

        >>> stage = Minibatch(100, 0.1, EntropicLoss(1.0), lambda o, t: o, torch.ones(1), torch.ones(1), anneal=0.1)
        >>> [round(stage.strength(step), 3) for step in (0, 50, 75, 100)]
        [1.0, 1.0, 0.55, 0.1]
        """
        late = max(0.0, 2 * step / self.steps - 1)
        return self.objective.strength * (1 - late * (1 - self.anneal))


class RunningMinibatch:
    """A stage at work."""

    def __init__(self, stage: Minibatch, model: nn.Module) -> None:
        self._stage, self._model = stage, model
        self.tell: Callable[[int], None] = quiet
        self._all = Problem(model, stage.loss, stage.inputs, stage.targets)
        self._parameters = list(self._all.parameters.values())
        self._objective, self._optimizer = stage.objective, _optimizer(stage, self._parameters)
        if stage.method == "adamw":
            self._objective = replace(stage.objective, decay=0.0)

    def advance(self, first: int, count: int) -> float:
        """Takes `count` steps."""
        stage, loss = self._stage, math.nan
        # Chance comes from the number of the first step, so no state of it has to be kept.
        random = generator(stage.seed, "adam", stage.member, first)
        labels = generator(stage.seed, "labels", stage.member, first)
        for number in range(first, first + count):
            problem = self._all
            if stage.batch is not None:
                problem = problem.rows(torch.randint(len(self._all), (stage.batch,), generator=random))
            if stage.hide is not None:
                inputs, targets = stage.hide(problem.inputs, random)
                problem = replace(problem, inputs=inputs, targets=targets)
            if stage.labels == "sampled":
                with torch.no_grad():
                    drawn = sampled_labels(self._model(problem.inputs), labels)
                problem = replace(problem, penalty_targets=drawn)
            self._optimizer.param_groups[0]["lr"] = stage.rate * (1 + math.cos(math.pi * number / stage.steps)) / 2
            value = replace(self._objective, strength=stage.strength(number)).backward(problem)
            if not math.isfinite(value.total):
                raise NotFiniteError(number + 1)
            self._optimizer.step()
            loss = value.loss
            self.tell(number + 1 - first)
        if not all(bool(p.isfinite().all()) for p in self._parameters):
            raise NotFiniteError(first + count)
        return loss

    def state(self) -> Mapping[str, Any]:
        """Returns the moments, if the method has any, by the parameter's number."""
        return moments(self._optimizer, self._parameters)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up such a state."""
        take_up(self._optimizer, self._parameters, state)


def _optimizer(stage: Minibatch, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    if stage.method == "adamw":
        return torch.optim.AdamW(parameters, lr=stage.rate, weight_decay=2 * stage.objective.decay)
    return (torch.optim.Adam if stage.method == "adam" else torch.optim.SGD)(parameters, lr=stage.rate)

"""TrainingRequest: what a training is asked for."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from alignment.errors import TrainingError, UnknownNameError

Objective = Literal["plain", "entropic"]
Optimizer = Literal["auto", "lbfgs", "gd", "sgd", "adam", "adamw"]
Labels = Literal["true", "sampled"]
EstimatorName = Literal["ghost_norm", "finite_difference"]
TaskName = Literal["numbers", "category", "masked"]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
OPTIMIZERS: tuple[Optimizer, ...] = get_args(Optimizer)
LABELS: tuple[Labels, ...] = get_args(Labels)
ESTIMATORS: tuple[EstimatorName, ...] = get_args(EstimatorName)
TASKS: tuple[TaskName, ...] = get_args(TaskName)


@dataclass(frozen=True)
class TrainingRequest:
    """A training; None asks for the recipe's own default.

    Attributes:
        recipe: `linear`, `mlp` or `transformer`.
        objective: `plain`, or `entropic`: with the entropy of stochastic gradient descent.
        strength: η of the entropy, above 0.
        weight_decay: γ of γ‖θ‖², at least 0.
        optimizer: `auto` is the recipe's own.
        steps: of each network, at least 1.
        seed: what data, weights and batches come from.
        data: a built-in name of the recipe's.
        view_a: how A sees the items.
        view_b: how B sees them.
        labels: the targets of the entropy: `true`, or `sampled` from the model's own softmax, which makes it a
            Fisher-trace variant.
        estimator: how the entropy's gradient is found: `ghost_norm` is of single rows, `finite_difference` of the
            batches that training takes.
        task: what is learnt: `numbers` to fit, each item's `category`, or what is `masked` of it.
    """

    recipe: str = "linear"
    objective: Objective = "entropic"
    strength: float | None = None
    weight_decay: float | None = None
    optimizer: Optimizer = "auto"
    steps: int | None = None
    seed: int = 0
    data: str | None = None
    view_a: str | None = None
    view_b: str | None = None
    labels: Labels | None = None
    estimator: EstimatorName | None = None
    task: TaskName | None = None

    def __post_init__(self) -> None:
        for kind, value, choices in (
            ("objective", self.objective, OBJECTIVES),
            ("optimizer", self.optimizer, OPTIMIZERS),
            ("kind of labels", self.labels or "true", LABELS),
            ("estimator", self.estimator or "ghost_norm", ESTIMATORS),
            ("task", self.task or "numbers", TASKS),
        ):
            if value not in choices:
                raise UnknownNameError(kind, value, choices)
        if self.strength is not None and not 0 < self.strength < math.inf:
            raise TrainingError(f"strength must be a number above 0, not {self.strength}; objective plain has none")
        if self.strength is not None and self.objective == "plain":
            raise TrainingError("objective plain has no strength; leave it out, or ask for objective entropic")
        if self.weight_decay is not None and not 0 <= self.weight_decay < math.inf:
            raise TrainingError(f"weight_decay must be a number of at least 0, not {self.weight_decay}")
        if self.steps is not None and self.steps < 1:
            raise TrainingError(f"steps must be at least 1, not {self.steps}")
        if not 0 <= self.seed < 2**63:
            raise TrainingError(f"seed must be at least 0 and below 2^63, not {self.seed}")

    def to_dict(self) -> dict[str, Any]:
        """Returns it as plain JSON."""
        return asdict(self)

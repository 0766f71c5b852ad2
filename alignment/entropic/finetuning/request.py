"""FinetuneRequest: what a fine-tuning is asked for."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from alignment.entropic.finetuning.part import Part
from alignment.entropic.recipes.request import OBJECTIVES, Objective
from alignment.errors import TrainingError, UnknownNameError
from alignment.references import ModelRef

STRENGTH = 0.01


@dataclass(frozen=True)
class FinetuneRequest:
    """A fine-tuning.

    Attributes:
        model: the reference of the model that is trained.
        towards: of the other, which is only looked at: nothing of it enters the training.
        probe: whose items are trained on, but for those held out.
        objective: `plain`, or `entropic`: with the entropy of batches of this size.
        strength: η of the entropy, above 0; None is 0.01, or none where the objective is plain.
        weight_decay: γ of γ‖θ‖² over what is trained.
        rate: Adam's, which falls to 0 along a cosine.
        steps: at least 1.
        batch: items a step, at least 2.
        part: what is trained: see `Part`.
        samples: items taken of the probe set; None takes all.
        seed: what the held-out items, batches, views and adapters come from.
    """

    model: str
    towards: str
    probe: str
    objective: Objective = "entropic"
    strength: float | None = None
    weight_decay: float = 0.0
    rate: float = 5e-5
    steps: int = 200
    batch: int = 16
    part: str = "last:1"
    samples: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for reference in (self.model, self.towards):
            ModelRef.parse(reference)
        Part.parse(self.part)
        if self.objective not in OBJECTIVES:
            raise UnknownNameError("objective", self.objective, OBJECTIVES)
        if self.objective == "plain" and self.strength is not None:
            raise TrainingError("objective plain has no strength; leave it out, or ask for objective entropic")
        for name, value in (("strength", self.strength), ("rate", self.rate)):
            if value is not None and not 0 < value < math.inf:
                raise TrainingError(f"{name} must be a number above 0, not {value}")
        if not 0 <= self.weight_decay < math.inf:
            raise TrainingError(f"weight_decay must be a number of at least 0, not {self.weight_decay}")
        for name, count, least in (("steps", self.steps, 1), ("batch", self.batch, 2)):
            if count < least:
                raise TrainingError(f"{name} must be at least {least}, not {count}")
        if not 0 <= self.seed < 2**63:
            raise TrainingError(f"seed must be at least 0 and below 2^63, not {self.seed}")

    @property
    def eta(self) -> float:
        """The entropy's strength; 0 for the plain objective."""
        return 0.0 if self.objective == "plain" else self.strength or STRENGTH

    def to_dict(self) -> dict[str, Any]:
        """Returns it as plain JSON, its defaults filled in."""
        return {**asdict(self), "strength": self.eta or None}

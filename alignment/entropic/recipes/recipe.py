"""Recipe: what every recipe is to whoever asks for a training."""

from __future__ import annotations

from typing import ClassVar, Protocol, Self

from alignment.entropic.recipes.facts import RecipeFacts
from alignment.entropic.recipes.request import TrainingRequest
from alignment.entropic.recipes.result import TrainingResult
from alignment.entropic.training.keeper import Keeper
from alignment.entropic.training.pair import Progress


class Recipe(Protocol):
    """A recipe at work on one request.

    Attributes:
        facts: what it takes, and what the evidence says of it.
    """

    facts: ClassVar[RecipeFacts]

    @property
    def request(self) -> TrainingRequest:
        """What was asked for, its defaults filled in; the recipe of that request is this one again."""

    @classmethod
    def of(cls, request: TrainingRequest) -> Self:
        """Returns the recipe for a request.

        Raises:
            RequestError: if the recipe cannot do what is asked.
        """

    def run(self, keeper: Keeper | None = None, progress: Progress = ...) -> TrainingResult:
        """Returns the trained pair.

        Args:
            keeper: where the state is kept; a state that waits there is taken up.
            progress: called with `train`, steps taken, steps in all; what it raises stops the training.

        Raises:
            DivergenceError: if a loss is no longer a number.
            TrainingError: if the kept state is of another request.
        """

"""TowerPair: two towers with their tasks, the items of each, and what trains them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from alignment.entropic.lesson import Lesson
from alignment.entropic.rows import Rows
from alignment.entropic.training.trainee import Trainee


@dataclass(frozen=True, eq=False)
class TowerPair:
    """A pair, each part by `a` and `b`.

    Attributes:
        lessons: the towers with their tasks.
        learnt: what each sees of the items that are learnt from.
        held: of those held out.
        trainees: what takes the steps.
    """

    lessons: Mapping[str, Lesson]
    learnt: Mapping[str, Rows]
    held: Mapping[str, Rows]
    trainees: Mapping[str, Trainee]

    def examined(self) -> tuple[dict[str, list[Tensor]], dict[str, Tensor]]:
        """Returns the hidden layers and the outputs of both towers on whole held-out items."""
        towers = {m: (lesson.tower, self.held[m].inputs) for m, lesson in self.lessons.items()}
        with torch.no_grad():
            hidden = {m: tower.hidden(items) for m, (tower, items) in towers.items()}
            return hidden, {m: tower.overall(items) for m, (tower, items) in towers.items()}

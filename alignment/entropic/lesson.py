"""Lesson: a tower with what it is asked of its items: the group that each is of, or what is hidden of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from alignment.entropic.chance import generator
from alignment.entropic.masking import Masking
from alignment.entropic.problem import Loss, Problem, cross_entropy
from alignment.entropic.rows import Rows
from alignment.models import TowerNetwork

Hide = Callable[[Tensor, torch.Generator], tuple[Tensor, Tensor]]  # whole items to inputs and targets


@dataclass(frozen=True, eq=False)
class Lesson:
    """One tower's task.

    Attributes:
        tower: the tower, whose config says which task.
        seed: what is hidden from it comes from, where it is examined.
        member: `a` or `b`, from which other things are hidden.
    """

    tower: TowerNetwork
    seed: int
    member: str

    @property
    def masking(self) -> Masking | None:
        """How items are hidden in part; None where the task is their groups."""
        return Masking(self.tower.config) if self.tower.config.masked else None

    @property
    def loss(self) -> Loss:
        """An item's loss."""
        return cross_entropy if self.masking is None else self.masking.loss

    @property
    def hide(self) -> Hide | None:
        """What makes inputs and targets of a batch's whole items; None where they are as they are."""
        return None if self.masking is None else self.masking.hide

    def problem(self, rows: Rows) -> Problem:
        """Returns the problem of the tower on rows: whole items, and their groups. Each time the same is hidden."""
        inputs, targets = rows.inputs, rows.targets
        if self.masking is not None:
            inputs, targets = self.masking.hide(inputs, generator(self.seed, "hidden", self.member))
        return Problem(self.tower, self.loss, inputs, targets)

    def score(self, rows: Rows) -> tuple[float, float | None]:
        """Returns the mean loss on rows, and the share of the answers that are right, where they are no numbers."""
        asked = self.problem(rows)
        with torch.no_grad():
            outputs = self.tower(asked.inputs)
        loss = float(asked.losses(outputs, asked.targets).mean())
        if self.masking is not None:
            return loss, self.masking.accuracy(outputs, asked.targets)
        return loss, float((outputs.argmax(1) == asked.targets).double().mean())

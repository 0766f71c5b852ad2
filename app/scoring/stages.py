"""Stages: what a job's work took, told to the worker beside its result."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import torch

from app.jobs import Context


class Stages:
    """Passes progress on, and counts the seconds from a stage's first word to the next stage's."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._seconds: dict[str, float] = {}
        self._stage, self._since = "", time.monotonic()

    def progress(self, stage: str, done: int, total: int) -> None:
        """Passes one word on."""
        self._turn(stage)
        self._context.progress(stage, done, total)

    def figures(self) -> Mapping[str, Any]:
        """Returns the seconds of each stage, and the most memory that was taken of a GPU."""
        self._turn("")
        found: dict[str, Any] = {"stages": self._seconds}
        if self._context.device.startswith("cuda"):
            found["peak"] = {
                "device": self._context.device,
                "bytes": torch.cuda.max_memory_allocated(torch.device(self._context.device)),
            }
        return found

    def _turn(self, stage: str) -> None:
        now = time.monotonic()
        if stage != self._stage:
            if self._stage:
                self._seconds[self._stage] = self._seconds.get(self._stage, 0.0) + now - self._since
            self._stage, self._since = stage, now

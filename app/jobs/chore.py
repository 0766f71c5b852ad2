"""Chore: something that workers do now and then, beside jobs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Chore:
    """Something that any worker does now and then; several at once must not harm.

    Attributes:
        name: for the log.
        seconds: how long between two times.
        run: does it.
    """

    name: str
    seconds: float
    run: Callable[[], object]

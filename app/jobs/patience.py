"""Patience: a step is tried again for as long as the database is away."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

import structlog

from app.storage.database import is_outage

T = TypeVar("T")
_LOG = structlog.get_logger("accord.jobs")
_PAUSE = 0.5


class LeftBehindError(Exception):
    """The worker ends and cannot say so: the database is away."""


class Patience:
    """Waits for the database, until the worker must leave."""

    def __init__(self, leaving: threading.Event) -> None:
        self._leaving = leaving

    def __call__(self, step: Callable[[], T]) -> T:
        """Returns what a step returns.

        Raises:
            LeftBehindError: if the worker will not wait any more.
        """
        while True:
            try:
                return step()
            except Exception as error:
                if not is_outage(error):
                    raise
                _LOG.warning("the database is away", error=type(error).__name__)
            if self._leaving.wait(_PAUSE):
                raise LeftBehindError

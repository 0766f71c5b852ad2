"""Settling: what else a job's end changes, in the transaction that ends it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from sqlalchemy import Connection, RowMapping

from app.storage.database import is_outage

_LOG = structlog.get_logger("accord.jobs")


class Settled(Protocol):
    """Called in the transaction that ends a job, whichever way, and so happens exactly once."""

    def __call__(self, connection: Connection, job: RowMapping, result: Mapping[str, Any] | None) -> None:
        """Args: the transaction; the job's row, its `state` already final; its result, if it succeeded."""


@dataclass(frozen=True)
class Chain:
    """Several things that a job's end changes, one after the other."""

    steps: tuple[Settled, ...]

    def __call__(self, connection: Connection, job: RowMapping, result: Mapping[str, Any] | None) -> None:
        """Does each."""
        for step in self.steps:
            step(connection, job, result)


def chain(*steps: Settled) -> Chain:
    """Returns what does each of several things when a job ends."""
    return Chain(steps)


def nothing(connection: Connection, job: RowMapping, result: Mapping[str, Any] | None) -> None:
    """Settles nothing more."""


def settle_what_can_be(
    settled: Settled, connection: Connection, job: RowMapping, result: Mapping[str, Any] | None
) -> None:
    """Does what a job's end changes, but for the steps that raise: each of those is undone and told to the log.

    A job that cannot be settled would else never end, nor a schedule that waits for it go on.
    """
    for step in settled.steps if isinstance(settled, Chain) else (settled,):
        try:
            with connection.begin_nested():
                step(connection, job, result)
        except Exception as error:
            if is_outage(error):
                raise
            _LOG.exception("left out of a job's end", job=job["id"], step=getattr(step, "__module__", None))

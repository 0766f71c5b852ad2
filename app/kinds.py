"""Kinds: every kind of job that there is, and what else its end changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, RowMapping

from app.jobs import Handler, Handlers
from app.jobs.handler import Settled


def chain(*steps: Settled) -> Settled:
    """Returns what does each of several things when a job ends."""

    def settled(connection: Connection, job: RowMapping, result: Mapping[str, Any] | None) -> None:
        for step in steps:
            step(connection, job, result)

    return settled


def handlers() -> Handlers:
    """Returns the kinds of job by name."""
    made: tuple[Handler, ...] = ()
    return {handler.kind: handler for handler in made}

"""Chores: what workers do for schedules."""

from __future__ import annotations

from collections.abc import Sequence

from app.api.state import State
from app.jobs import Chore, Ledger
from app.schedules.firing import Firing
from app.settings import Settings
from app.storage import Database


def chores(settings: Settings, database: Database, ledger: Ledger) -> Sequence[Chore]:
    """Returns them."""
    return (Chore("run schedules", 1.0, Firing(State(settings, database, ledger)).run),)

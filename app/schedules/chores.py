"""Chores: what workers do for schedules."""

from __future__ import annotations

from collections.abc import Sequence

from app.api.state import State
from app.jobs import Chore, Ledger
from app.jobs.executor import LocalExecutor
from app.probes.builtins import BuiltinFacts
from app.probes.reader import Reader
from app.schedules.firing import Firing
from app.schedules.retention import close, forget
from app.settings import Settings
from app.storage import Database

_DAY = 24 * 3600.0


def chores(settings: Settings, database: Database, ledger: Ledger) -> Sequence[Chore]:
    """Returns them."""
    builtin = BuiltinFacts(Reader(settings, LocalExecutor())).of
    return (
        Chore("run schedules", 1.0, Firing(State(settings, database, ledger, builtin)).run),
        Chore("close runs", 60.0, lambda: close(database)),
        Chore("forget runs", 3600.0, lambda: forget(database, settings.history_days * _DAY)),
    )

"""Chores: what workers do for webhooks."""

from __future__ import annotations

from collections.abc import Sequence

from app.jobs import Chore
from app.settings import Settings
from app.storage import Database
from app.webhooks.courier import Courier, forget
from app.webhooks.post import sender

_DAY = 24 * 3600.0


def chores(settings: Settings, database: Database) -> Sequence[Chore]:
    """Returns them."""
    courier = Courier(database, sender(private=settings.allow_private_webhooks))
    return (
        Chore("deliver webhooks", 1.0, courier.run),
        Chore("forget deliveries", 3600.0, lambda: forget(database, settings.retention_days * _DAY)),
    )

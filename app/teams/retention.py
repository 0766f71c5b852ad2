"""forget(): notes of the audit that were made long ago go."""

from __future__ import annotations

import sqlalchemy as sa

from app.storage import Database
from app.storage.ids import first_of
from app.storage.purge import purge
from app.storage.tables import audit, models, probes, schedules, uploads


def forget(database: Database, seconds: float) -> int:
    """Deletes notes that were made so long ago; returns how many.

    Who made what is still there stays: they may delete it.
    """
    still_there = (
        sa.exists().where(table.c.id == audit.c.resource, table.c.get("deleted_at", sa.null()).is_(None))
        for table in (models, probes, schedules, uploads)
    )
    moment = database.moment() - seconds
    return purge(
        database,
        audit,
        audit.c.id < first_of("audit", moment),
        audit.c.at < moment,
        ~sa.and_(audit.c.action.like("%.create"), sa.or_(*still_there)),
    )

"""forget(): probe sets that were deleted long ago go, and with them the last that named their files."""

from __future__ import annotations

import sqlalchemy as sa

from app.storage import Database
from app.storage.purge import purge
from app.storage.tables import LIVE_SQL, jobs, probes


def forget(database: Database, seconds: float) -> int:
    """Deletes probe sets that were deleted so long ago and that no job is to be done on; returns how many.

    A job that has ended has all that it says of its probe set itself.
    """
    needed = sa.exists().where(sa.text(LIVE_SQL), jobs.c.payload[("probe", "id")].as_string() == probes.c.id)
    return purge(database, probes, probes.c.deleted_at < database.now() - seconds, ~needed)

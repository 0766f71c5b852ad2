"""forget(): runs of schedules that ended long ago go."""

from __future__ import annotations

import sqlalchemy as sa

from app.storage import Database
from app.storage.ids import first_of
from app.storage.purge import purge
from app.storage.tables import schedule_runs


def forget(database: Database, seconds: float) -> int:
    """Deletes runs that ended so long ago; returns how many.

    A schedule's last success stays, however old: an alert on a drop is held against it.
    """
    later = schedule_runs.alias("later")
    succeeded_since = sa.exists().where(
        later.c.schedule_id == schedule_runs.c.schedule_id,
        later.c.id > schedule_runs.c.id,
        later.c.outcome == "succeeded",
    )
    moment = database.moment() - seconds
    return purge(
        database,
        schedule_runs,
        schedule_runs.c.id < first_of("run", moment),
        schedule_runs.c.finished_at < moment,
        sa.or_(schedule_runs.c.outcome != "succeeded", succeeded_since),
    )

"""Retention: runs of schedules that ended long ago go, and none stays under way whose job is not."""

from __future__ import annotations

import sqlalchemy as sa

from app.storage import Database
from app.storage.ids import first_of
from app.storage.purge import purge
from app.storage.tables import LIVE_SQL, jobs, schedule_runs


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


def close(database: Database) -> int:
    """Ends the runs whose job has ended without their hearing of it, or is not there; returns how many.

    Such a one is of a job that ended though what its end changes could not be written. A schedule would wait for it.
    """
    live = sa.exists().where(jobs.c.id == schedule_runs.c.job_id, sa.text(LIVE_SQL))
    lost = (schedule_runs.c.outcome == "started", schedule_runs.c.job_id.is_not(None), ~live)
    detail = "its job ended and the run could not be written; see the job, if it is still there"
    with database.write() as connection:
        ended = {"outcome": "failed", "detail": detail, "finished_at": database.now()}
        return len(connection.execute(schedule_runs.update().where(*lost).values(ended).returning(sa.literal(1))).all())

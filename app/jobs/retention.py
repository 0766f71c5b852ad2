"""forget(): jobs that ended long ago go, with all that hangs on them."""

from __future__ import annotations

import sqlalchemy as sa

from app.jobs.rows import LIVE
from app.storage import Database
from app.storage.tables import job_models, job_parts, jobs, models, results

_AT_ONCE = 200  # jobs a transaction, so that none waits long for the write lock


def forget(database: Database, seconds: float) -> int:
    """Deletes jobs that ended so long ago, with their results; returns how many.

    A part stays for as long as a job that has not ended counts on it; what made a model, for as long as that is
    registered: its theory is asked of it then, and the model registered anew.
    """
    total = 0
    while count := _forget_some(database, seconds):
        total += count
    return total


def _forget_some(database: Database, seconds: float) -> int:
    parent = jobs.alias("parent")
    needed = (
        sa.select(job_parts.c.part_id)
        .join(parent, parent.c.id == job_parts.c.job_id)
        .where(job_parts.c.part_id == jobs.c.id, parent.c.state.in_(LIVE))
        .exists()
    )
    made = (
        sa.select(models.c.id)
        .where(models.c.deleted_at.is_(None), models.c.bytes > 0, models.c.source["id"].as_string() == jobs.c.id)
        .exists()
    )
    with database.write() as connection:
        asked = (
            sa.select(jobs.c.id)
            .where(jobs.c.finished_at < database.now() - seconds, ~needed, ~made)
            .order_by(jobs.c.finished_at)
            .limit(_AT_ONCE)
            .with_for_update(skip_locked=True)  # another worker forgets those
        )
        old = connection.execute(asked).scalars().all()
        if old:
            connection.execute(results.delete().where(results.c.job_id.in_(old)))
            connection.execute(job_models.delete().where(job_models.c.job_id.in_(old)))
            connection.execute(job_parts.delete().where(job_parts.c.job_id.in_(old) | job_parts.c.part_id.in_(old)))
            connection.execute(jobs.delete().where(jobs.c.id.in_(old)))
    return len(old)

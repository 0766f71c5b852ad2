"""forget(): models that were deleted long ago go, and with them the last that named their files."""

from __future__ import annotations

import sqlalchemy as sa

from app.storage import Database
from app.storage.purge import purge
from app.storage.tables import job_models, models


def forget(database: Database, seconds: float) -> int:
    """Deletes models that were deleted so long ago and that no job that is kept names; returns how many.

    Jobs can be listed by a deleted model's id, and a training's models are found through their rows, for as long as the
    job is there. What a schedule's run measured is written in the run.
    """
    named = sa.exists().where(job_models.c.model_id == models.c.id)
    return purge(database, models, models.c.deleted_at < database.now() - seconds, ~named)

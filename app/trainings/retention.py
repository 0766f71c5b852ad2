"""clear(): what trainings left on the disk goes when nothing needs it any more."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import Connection

from app.jobs.rows import LIVE
from app.models.trained import KEPT_SECONDS, KIND
from app.settings import Settings
from app.storage import Database
from app.storage.tables import jobs, models
from app.trainings.figures import FOLDER


def clear(settings: Settings, database: Database) -> int:
    """Deletes the state of trainings that have ended, and models that nothing needs; returns how many things.

    A model is needed while it is registered, for a day after it was deleted (it can be registered anew from its
    training for half of that), and by a job that has not ended. All of a training that has not ended stays.
    """
    folder = settings.data_dir.absolute() / FOLDER
    if not folder.is_dir():
        return 0
    # The files first: a training is in the table before it has a folder, and does not begin again once it has ended.
    places = sorted(folder.iterdir())
    count = 0
    with database.read() as connection:
        payloads = sa.select(jobs.c.payload).where(jobs.c.state.in_(LIVE), jobs.c.kind == KIND)
        live = {payload["place"] for payload in connection.execute(payloads).scalars()}
        ended = [place for place in places if place.name not in live]
        strays = [thing for place in ended for thing in place.iterdir() if _is_stray(database, connection, thing)]
    for thing in strays:
        if thing.is_dir():
            shutil.rmtree(thing, ignore_errors=True)
        else:
            thing.unlink(missing_ok=True)
        count += 1
    for place in ended:
        if not any(place.iterdir()):
            place.rmdir()
    return count


def _is_stray(database: Database, connection: Connection, thing: Path) -> bool:
    """Whether something in the folder of a training that has ended is nobody's."""
    if not thing.is_dir():
        return True
    if time.time() - thing.stat().st_mtime < KEPT_SECONDS:  # it may have been registered in this moment
        return False
    recent = sa.or_(models.c.deleted_at.is_(None), models.c.deleted_at > database.now() - KEPT_SECONDS)
    inside = f"%/{thing.parent.name}/{thing.name}/%"
    used = sa.select(models.c.id).where(models.c.reference.like(inside), recent)
    needed = sa.select(jobs.c.id).where(jobs.c.state.in_(LIVE), sa.cast(jobs.c.payload, sa.Text).like(inside))
    return all(connection.execute(asked.limit(1)).first() is None for asked in (used, needed))

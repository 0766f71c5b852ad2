"""clear(): what trainings left on the disk goes when nothing needs it any more."""

from __future__ import annotations

import errno
import shutil
import time
from contextlib import suppress
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
    with database.read() as connection:
        payloads = sa.select(jobs.c.payload).where(jobs.c.state.in_(LIVE), jobs.c.kind == KIND)
        live = {payload["place"] for payload in connection.execute(payloads).scalars()}
        ended = [place for place in places if place.name not in live]
        needed = _needed(database, connection) if ended else ""
    return sum(_clear(place, needed) for place in ended)


def _clear(place: Path, needed: str) -> int:
    """Deletes what is nobody's in the folder of a training that has ended; returns how many things."""
    count = 0
    # Other workers clear, too: what is gone already is as it should be.
    with suppress(FileNotFoundError):
        for thing in sorted(place.iterdir()):
            with suppress(FileNotFoundError):
                count += _remove(thing, needed)
    try:
        place.rmdir()
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTEMPTY):
            raise
    return count


def _remove(thing: Path, needed: str) -> bool:
    """Deletes a thing if it is nobody's; returns whether it did."""
    if not thing.is_dir():
        thing.unlink()
        return True
    recent = time.time() - thing.stat().st_mtime < KEPT_SECONDS  # it may have been registered in this moment
    if recent or f"/{thing.parent.name}/{thing.name}/" in needed:
        return False
    shutil.rmtree(thing, ignore_errors=True)
    return True


def _needed(database: Database, connection: Connection) -> str:
    """Returns a text that has each folder that a model or a job needs in it, fetched once for all."""
    recent = sa.or_(models.c.deleted_at.is_(None), models.c.deleted_at > database.now() - KEPT_SECONDS)
    inside = f"%/{FOLDER}/%"
    used = sa.select(models.c.reference).where(models.c.reference.like(inside), recent)
    payload = sa.cast(jobs.c.payload, sa.Text)
    asked = sa.select(payload).where(jobs.c.state.in_(LIVE), payload.like(inside))
    return "\n".join(f"{text}/" for query in (used, asked) for text in connection.execute(query).scalars())

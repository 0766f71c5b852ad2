"""forget(): uploads that nothing has needed for long go, and files that a process left when it died."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from app.settings import Settings
from app.storage import Database
from app.storage.purge import AT_ONCE
from app.storage.tables import LIVE_SQL, jobs, models, probes, schedules, uploads
from app.uploads.files import COMING, uploads_folder

_STALE = 24 * 3600.0  # seconds without a change after which a file that is no upload is nobody's


def forget(settings: Settings, database: Database, seconds: float) -> int:
    """Deletes uploads that came so long ago, and that nothing has needed for as long; returns how many.

    An upload is needed by a registered model or probe set that is read from it, by a job that has not ended, and by a
    schedule whose request names it.
    """
    moment = sa.select(database.now() - seconds).scalar_subquery()
    named = sa.cast(schedules.c.request, sa.Text).like(sa.literal('%"') + uploads.c.id + sa.literal('"%'))
    unneeded = (
        uploads.c.created_at < moment,
        ~_is_inside(models.c.reference, sa.or_(models.c.deleted_at.is_(None), models.c.deleted_at >= moment)),
        ~_is_inside(probes.c.reference, sa.or_(probes.c.deleted_at.is_(None), probes.c.deleted_at >= moment)),
        ~_is_inside(sa.cast(jobs.c.payload, sa.Text), sa.text(LIVE_SQL)),
        ~sa.exists().where(named).correlate(uploads),
    )
    # Looked for while nobody waits: each of what is old is held against all that may need it.
    with database.read() as connection:
        found = connection.execute(sa.select(uploads.c.id).where(*unneeded)).scalars().all()
    return sum(_forget(settings, database, found[at : at + AT_ONCE], unneeded) for at in range(0, len(found), AT_ONCE))


def _forget(settings: Settings, database: Database, found: Sequence[str], unneeded: tuple[Any, ...]) -> int:
    """Deletes those of some uploads that are unneeded still; returns how many."""
    with database.write() as connection:
        # What is being registered from is locked and left for the next time. What is not is locked by us, so that
        # whoever comes next finds it gone; and looked at once more, for what came between the look and the lock.
        held = sa.select(uploads.c.id).where(uploads.c.id.in_(found)).with_for_update(skip_locked=True)
        ids = connection.execute(held).scalars().all()
        asked = uploads.delete().where(uploads.c.id.in_(ids), *unneeded)
        gone = connection.execute(asked.returning(uploads.c.id)).scalars().all()
    for upload_id in gone:
        shutil.rmtree(uploads_folder(settings) / upload_id, ignore_errors=True)
    return len(gone)


def clear(settings: Settings, database: Database) -> int:
    """Deletes files that are no upload's and that nobody writes any more; returns how many. Their room is free then."""
    with database.write() as connection:
        stale = (uploads.c.sha256 == COMING, uploads.c.created_at < database.now() - _STALE)
        connection.execute(uploads.delete().where(*stale))
    folder = uploads_folder(settings)
    if not folder.is_dir():
        return 0
    # The files first: what is entered after that look is no stray.
    old = [child for child in folder.iterdir() if time.time() - _changed(child) > _STALE]
    with database.read() as connection:
        known = set(connection.execute(sa.select(uploads.c.id)).scalars())
    strays = [child for child in old if child.name not in known]
    for child in strays:
        shutil.rmtree(child, ignore_errors=True)
    return len(strays)


def _is_inside(text: sa.ColumnElement[str], where: sa.ColumnElement[bool] | sa.TextClause) -> Any:
    """Returns whether a path in a column has an upload's folder in it."""
    return sa.exists().where(text.like(sa.literal("%/") + uploads.c.id + sa.literal("/%")), where).correlate(uploads)


def _changed(folder: Path) -> float:
    """Returns when a folder or a file in it was last changed; now if it is going away."""
    try:
        return max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
    except OSError:
        return time.time()

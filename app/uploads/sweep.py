"""Sweep: files that belong to no upload, because a process died between the two, go in the end."""

from __future__ import annotations

import shutil
import time

import sqlalchemy as sa

from app.settings import Settings
from app.storage import Database
from app.storage.tables import uploads
from app.uploads.files import uploads_folder

_OLD = 24 * 3600.0  # seconds; longer than any upload takes to come in


def sweep(settings: Settings, database: Database) -> int:
    """Takes away the folders of files that were begun a day ago and are no upload's; returns how many."""
    folder = uploads_folder(settings)
    if not folder.is_dir():
        return 0
    old = [entry.name for entry in folder.iterdir() if entry.stat().st_mtime < time.time() - _OLD]
    with database.read() as connection:  # after the folders were listed: a row never comes before its folder
        known = set(connection.execute(sa.select(uploads.c.id)).scalars())
    stray = [name for name in old if name not in known]
    for name in stray:
        shutil.rmtree(folder / name, ignore_errors=True)
    return len(stray)

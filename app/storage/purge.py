"""purge(): rows that are too old go, some at a time."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from app.storage.database import Database

AT_ONCE = 500  # rows a transaction, so that none waits long for the write lock


def purge(database: Database, table: sa.Table, *where: Any) -> int:
    """Deletes the rows that are as `where` says; returns how many. Several at once share the work."""
    key = table.primary_key.columns
    some = sa.select(*key).where(*where).limit(AT_ONCE).with_for_update(skip_locked=True).correlate(None)
    statement = table.delete().where(sa.tuple_(*key).in_(some)).returning(*key)
    total = 0
    while True:
        with database.write() as connection:
            count = len(connection.execute(statement).all())
        total += count
        if count < AT_ONCE:
            return total

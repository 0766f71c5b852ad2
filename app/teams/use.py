"""Use: how much of what it may have a team has."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Connection

from app.storage.tables import models, probes, uploads


def stored(connection: Connection, team: str) -> int:
    """Returns how many bytes of uploads a team keeps."""
    asked = sa.select(sa.func.coalesce(sa.func.sum(uploads.c.bytes), 0)).where(uploads.c.team_id == team)
    return int(connection.execute(asked).scalar_one())


def registered(connection: Connection, team: str) -> tuple[int, int]:
    """Returns how many models and how many probe sets a team has registered and not deleted."""
    counts = [
        connection.execute(
            sa.select(sa.func.count()).where(table.c.team_id == team, table.c.deleted_at.is_(None))
        ).scalar_one()
        for table in (models, probes)
    ]
    return int(counts[0]), int(counts[1])

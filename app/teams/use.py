"""Use: how much of what it may have a team has."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Connection

from app.storage.tables import OWN_LIVE_SQL, jobs, models, probes, teams, uploads

_TEAM = sa.select(teams.c.id).where(teams.c.id == sa.bindparam("team")).with_for_update(key_share=True)


def lock(connection: Connection, team: str) -> None:
    """Waits until no other transaction looks at what a team has left to keep; others wait until this one ends.

    So of two that fit each and not both, one gets in. On SQLite a transaction that writes is alone from its beginning.
    """
    if connection.dialect.name != "sqlite":
        connection.execute(_TEAM, {"team": team})


def stored(connection: Connection, team: str) -> int:
    """Returns how many bytes of uploads, and of models that trainings made, a team keeps."""
    sent = sa.select(uploads.c.bytes).where(uploads.c.team_id == team)
    ours = (models.c.team_id == team, models.c.deleted_at.is_(None), models.c.bytes > 0)
    made = sa.select(models.c.reference, models.c.bytes).where(*ours).distinct()  # one may have several names
    asked = [sa.select(sa.func.coalesce(sa.func.sum(kept.subquery().c.bytes), 0)) for kept in (sent, made)]
    return sum(int(connection.execute(one).scalar_one()) for one in asked)


def coming(connection: Connection, team: str) -> int:
    """Returns how many bytes a team's trainings that have not ended may come to keep."""
    keeps = sa.func.coalesce(sa.func.sum(jobs.c.payload["keeps"].as_integer()), 0)
    asked = sa.select(keeps).where(sa.text(OWN_LIVE_SQL), jobs.c.team_id == team, jobs.c.kind == "training")
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

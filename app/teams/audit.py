"""Audit: who did what, in the transaction that did it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog
from sqlalchemy import Connection, select

from app.storage import Database, new_id
from app.storage.tables import audit
from app.teams.principal import Principal


def record(
    database: Database,
    connection: Connection,
    principal: Principal,
    action: str,
    resource: str | None = None,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Notes an action.

    Args:
        database: whose clock is taken.
        connection: the transaction that does what is noted.
        principal: who.
        action: what, as `comparison.create`.
        resource: the id of what it was done to.
        detail: more, without secrets.
    """
    connection.execute(
        audit.insert().values(
            id=new_id("audit"),
            at=database.now(),
            team_id=principal.team,
            key_id=principal.key,
            action=action,
            resource=resource,
            request_id=structlog.contextvars.get_contextvars().get("request_id"),
            detail=detail,
        )
    )


def who(connection: Connection, team: str, action: str, resource: str) -> str | None:
    """Returns the key that first did something to a resource; None if none did, or it was done without a key."""
    asked = select(audit.c.key_id).where(
        audit.c.team_id == team, audit.c.action == action, audit.c.resource == resource
    )
    found: str | None = connection.execute(asked.order_by(audit.c.id).limit(1)).scalar_one_or_none()
    return found

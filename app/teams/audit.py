"""Audit: who did what, in the transaction that did it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog
from sqlalchemy import Connection, Insert, select

from app.storage import Database, new_id
from app.storage.tables import audit
from app.teams.principal import Principal, require_admin


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
        database.prepared(_note),
        {
            "id": new_id("audit"),
            "team_id": principal.team,
            "key_id": principal.key,
            "action": action,
            "resource": resource,
            "request_id": structlog.contextvars.get_contextvars().get("request_id"),
            "detail": detail,
        },
    )


def _note(database: Database) -> Insert:
    return audit.insert().values(at=database.now())


def require_author(connection: Connection, principal: Principal, kind: str, resource: str, what: str) -> None:
    """Checks that a key made something, or is an admin's.

    Args:
        connection: where to ask.
        principal: whose key it is.
        kind: the kind of thing, as in the note of its making: `KIND.create`.
        resource: its id.
        what: what was asked for, in words.

    Raises:
        Problem: 403 if neither is so.
    """
    if principal.role != "admin" and _maker(connection, principal.team, kind, resource) != principal.key:
        require_admin(principal, what)


def _maker(connection: Connection, team: str, kind: str, resource: str) -> str | None:
    asked = select(audit.c.key_id).where(
        audit.c.team_id == team, audit.c.action == f"{kind}.create", audit.c.resource == resource
    )
    found: str | None = connection.execute(asked.order_by(audit.c.id).limit(1)).scalar_one_or_none()
    return found

"""Audit: who did what, in the transaction that did it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog
from sqlalchemy import Connection

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

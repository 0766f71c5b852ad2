"""The HTTP resources `/v1/me` and `/v1/audit`."""

from __future__ import annotations

from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Query

from app.api.names import Text
from app.api.pages import Cursor, Limit, Page, only, page
from app.api.state import AppState
from app.storage.tables import audit
from app.teams.principal import Admin, Reader
from app.teams.schemas import Entry, Limits, Me, Use
from app.teams.use import registered, stored

router = APIRouter(prefix="/v1", tags=["teams"])


@router.get("/me", summary="Who asks")
def me(state: AppState, principal: Reader) -> Me:
    """The key's team and role, what may be had at most, and what the team has now."""
    with state.database.read() as connection:
        models, probes = registered(connection, principal.team)
        use = Use(
            stored_bytes=stored(connection, principal.team),
            queued=state.ledger.live(connection, principal.team),
            models=models,
            probes=probes,
        )
    limits = Limits.of(state.settings)
    return Me(team=principal.team_name, role=principal.role, key=principal.key, limits=limits, use=use)


@router.get("/audit", summary="Who did what")
def entries(
    state: AppState,
    principal: Admin,
    limit: Limit = 50,
    cursor: Cursor = None,
    action: Annotated[Text | None, Query(description="this alone", examples=["model.delete"])] = None,
    resource: Annotated[
        Text | None, Query(description="what was done to this alone", examples=["mdl_01kb0000000000000000000000"])
    ] = None,
    key: Annotated[
        Text | None, Query(description="what this key did alone", examples=["key_01kb0000000000000000000000"])
    ] = None,
) -> Page[Entry]:
    """What was made, changed and deleted in the team, newest first. This takes the role admin."""
    ours = sa.select(audit).where(audit.c.team_id == principal.team)
    query = only(ours, {audit.c.action: action, audit.c.resource: resource, audit.c.key_id: key})
    with state.database.read() as connection:
        return page(connection, query, audit.c.id, limit, cursor, Entry.of)

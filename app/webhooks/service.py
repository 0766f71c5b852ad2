"""Service: a team's webhook secret and its deliveries."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Connection

from app.api.pages import Page, page
from app.api.state import State
from app.storage.tables import deliveries, teams
from app.teams import audit
from app.teams.principal import Principal
from app.webhooks.schemas import DeliveryStatus, DeliveryView
from app.webhooks.signature import new_secret


def rotate(state: State, connection: Connection, principal: Principal) -> str:
    """Returns a new secret, which every delivery of the team is signed with from now on."""
    secret = new_secret()
    connection.execute(teams.update().where(teams.c.id == principal.team).values(webhook_secret=secret))
    audit.record(state.database, connection, principal, "webhook_secret.create", principal.team)
    return secret


def listed(
    connection: Connection, principal: Principal, status: DeliveryStatus | None, limit: int, cursor: str | None
) -> Page[DeliveryView]:
    """Returns a page of the team's deliveries."""
    asked = sa.select(deliveries).where(deliveries.c.team_id == principal.team)
    if status is not None:
        asked = asked.where(deliveries.c.state == status)
    return page(connection, asked, deliveries.c.id, limit, cursor, DeliveryView.of)

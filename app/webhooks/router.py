"""Router: a team's webhook secret and its deliveries."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy import Connection

from app.api.errors import document
from app.api.once import Answer, DoOnce
from app.api.pages import Cursor, Limit, Page
from app.api.state import AppState
from app.teams.principal import Admin, Reader
from app.webhooks import service
from app.webhooks.schemas import DeliveryStatus, DeliveryView, WebhookSecret

router = APIRouter(prefix="/v1", tags=["webhooks"])
Status = Annotated[DeliveryStatus | None, Query(description="only those of this status", examples=["given_up"])]


@router.post(
    "/webhook-secret",
    status_code=201,
    summary="Make or replace the team's webhook secret",
    response_model=WebhookSecret,
    responses=document(409),
)
def make_secret(state: AppState, principal: Admin, once: DoOnce) -> Response:
    """Makes the secret that the team's webhooks are signed with, and shows it this once; the one before is void.

    A webhook is signed even if the team never asked for its secret: ask for it when you want to check.
    """

    def step(connection: Connection) -> Answer:
        return Answer(201, WebhookSecret(secret=service.rotate(state, connection, principal)))

    return once.answer(principal.team, step)


@router.get("/deliveries", summary="List webhook deliveries")
def list_deliveries(
    state: AppState, principal: Reader, status: Status = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[DeliveryView]:
    """Lists what webhooks the team was sent or is to be sent, and why those that failed did."""
    with state.database.read() as connection:
        return service.listed(connection, principal, status, limit, cursor)

"""System: whether the service lives, whether it can work, and its figures."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from app.api.figures import CONTENT_TYPE, Requests, exposition
from app.api.state import AppState, State
from app.jobs.roster import live_workers
from app.storage.database import is_outage

router = APIRouter(tags=["operation"])


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"] = Field(description="always `ok`: a process that is not does not answer", examples=["ok"])


class Readiness(BaseModel):
    """Whether a comparison that is posted now would be worked on."""

    ready: bool = Field(description="whether all of it is there", examples=[True])
    database: Literal["ok", "not migrated", "away"] = Field(
        description="whether the database answers, with the tables of this version", examples=["ok"]
    )
    queue: Literal["ok", "away"] = Field(description="whether jobs can be put into the queue", examples=["ok"])
    workers: int = Field(description="workers that have said within the lease that they live", examples=[1])


@router.get("/healthz", summary="Liveness", responses={})
async def healthz() -> Health:
    """Answers as long as the process does."""
    return Health(status="ok")


@router.get(
    "/readyz",
    summary="Readiness",
    responses={503: {"model": Readiness, "description": "something is missing"}},
)
def readyz(state: AppState, response: Response) -> Readiness:
    """Answers 200 if the database and the queue are there and a worker lives, or 503."""
    found = readiness(state)
    response.status_code = 200 if found.ready else 503
    return found


def readiness(state: State) -> Readiness:
    """Returns what is there of all that a comparison needs."""
    database = state.database
    try:
        if not database.is_migrated():
            return Readiness(ready=False, database="not migrated", queue="away", workers=0)
        queue = state.ledger.engine.is_there()
        count = live_workers(database, state.settings.lease_seconds)
    except Exception as error:
        if not is_outage(error):
            raise
        return Readiness(ready=False, database="away", queue="away", workers=0)
    return Readiness(ready=queue and count > 0, database="ok", queue="ok" if queue else "away", workers=count)


def _requests(request: Request) -> Requests:
    requests: Requests = request.app.state.requests
    return requests


@router.get(
    "/metrics",
    summary="Figures for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "Prometheus's text format"}},
)
def metrics(state: AppState, requests: Annotated[Requests, Depends(_requests)]) -> Response:
    """Requests of this process; jobs, workers and activations of all."""
    return Response(exposition(requests, state), media_type=CONTENT_TYPE)

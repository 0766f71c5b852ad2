"""Router: schedules and their runs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from sqlalchemy import Connection

from app.api.errors import document
from app.api.names import Text
from app.api.once import Answer, DoOnce
from app.api.pages import Cursor, Limit, Page, page
from app.api.state import AppState
from app.schedules import service
from app.schedules.firing import Firing
from app.schedules.requests import prepare
from app.schedules.runs import Outcome, RunView
from app.schedules.schemas import NewSchedule, ScheduleChange, ScheduleView, Status
from app.storage.tables import schedule_runs, schedules
from app.teams import audit
from app.teams.principal import Reader, Runner

router = APIRouter(prefix="/v1/schedules", tags=["schedules"])
ScheduleId = Annotated[str, Path(max_length=200, description="its id", examples=["sch_01jdfq5n0v8m3k7r2x9yzw4abc"])]
StatusFilter = Annotated[Status | None, Query(description="only those that are so", examples=["active"])]
OutcomeFilter = Annotated[Outcome | None, Query(description="only those that came to this", examples=["succeeded"])]
ModelFilter = Annotated[Text | None, Query(description="only those that name this model so", examples=["minilm"])]
TeamFilter = Annotated[
    Text | None,
    Query(
        description="only those of this team: its name or id; a key sees its own team's alone",
        examples=["default"],
    ),
]


@router.post(
    "",
    status_code=201,
    summary="Make a schedule",
    responses={201: {"model": ScheduleView, "description": "made; `Location` says where it is"}, **document(409)},
)
def create(state: AppState, principal: Runner, once: DoOnce, body: NewSchedule) -> Response:
    """Makes a schedule. What cannot be met as it is asked is refused here, as it would be if it were run now.

    It belongs to the team: it goes on when the key that made it is revoked. The audit says which key that was.
    """
    again = once.again(principal.team)
    if again is not None:  # whatever became of what it names meanwhile
        return again
    service.check(state, principal, body)

    def step(connection: Connection) -> Answer:
        row = service.create(state, connection, principal, body)
        return Answer(201, ScheduleView.of(row), {"Location": f"{router.prefix}/{row['id']}"})

    return once.answer(principal.team, step)


@router.get("", summary="List the team's schedules")
def listed(
    state: AppState,
    principal: Reader,
    status: StatusFilter = None,
    model: ModelFilter = None,
    team: TeamFilter = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[ScheduleView]:
    """Newest first."""
    query = service.listed(principal, paused=None if status is None else status == "paused", model=model, team=team)
    with state.database.read() as connection:
        return page(connection, query, schedules.c.id, limit, cursor, ScheduleView.of)


@router.get("/{id}", summary="Look at a schedule")
def one(state: AppState, principal: Reader, id: ScheduleId) -> ScheduleView:
    """What it repeats, when, and when next."""
    with state.database.read() as connection:
        return ScheduleView.of(service.get(connection, principal, id))


@router.patch("/{id}", summary="Change a schedule")
def change(state: AppState, principal: Runner, id: ScheduleId, body: ScheduleChange) -> ScheduleView:
    """Changes what is named, from now on. One that is paused runs no more; one that goes on does when next due."""
    service.check(state, principal, body)
    row = state.database.transact(lambda connection: service.change(state, connection, principal, id, body))
    return ScheduleView.of(row)


@router.delete("/{id}", status_code=204, summary="Delete a schedule")
def delete(state: AppState, principal: Runner, id: ScheduleId) -> None:
    """Deletes it with its history. Comparisons that it made stay, and one that has not ended goes on."""
    state.database.transact(lambda connection: service.delete(state, connection, principal, id))


@router.post(
    "/{id}/run",
    status_code=202,
    summary="Run a schedule now",
    responses={202: {"model": RunView, "description": "begun, or waiting for the run before"}, **document(409)},
)
def run(state: AppState, principal: Runner, id: ScheduleId, once: DoOnce) -> Response:
    """Runs it besides when it is due, also while it is paused. Its overlap says what happens if a run is going on."""
    if service.ID.fullmatch(id):
        prepare(state, id)  # before there is a transaction

    def step(connection: Connection) -> Answer:
        made = Firing(state).by_hand(connection, service.get(connection, principal, id))
        audit.record(state.database, connection, principal, "schedule.run", id, {"run": made["id"]})
        return Answer(202, RunView.of(made), {"Location": f"{router.prefix}/{id}/runs"})

    return once.answer(principal.team, step)


@router.get("/{id}/runs", summary="A schedule's history")
def runs(
    state: AppState,
    principal: Reader,
    id: ScheduleId,
    status: OutcomeFilter = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[RunView]:
    """Its runs, newest first, with their scores and which commits were measured."""
    with state.database.read() as connection:
        service.get(connection, principal, id)
        return page(connection, service.history(id, status), schedule_runs.c.id, limit, cursor, RunView.of)

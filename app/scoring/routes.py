"""Routes: what can be done with a job of any kind once it is there: list, look, cancel, follow."""

import re
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import sqlalchemy as sa
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import RootModel
from pydantic_core import to_json
from sqlalchemy import Connection, RowMapping

from app.api import etags, events
from app.api.jobs import FACTS, FINAL, Event, Status, find_job, item_of, result_text, shown_as, write
from app.api.once import Answer, Once
from app.api.pages import Cursor, Limit, Page, page
from app.api.state import AppState, State
from app.models.service import find as find_model
from app.probes.service import prepare
from app.scoring.schemas import Request as Measurement
from app.storage.ids import PREFIXES
from app.storage.tables import job_models, jobs
from app.teams import audit
from app.teams.principal import Principal, Reader, Runner
from app.webhooks.address import check_url

Asked = TypeVar("Asked", bound=Measurement)
_JSON = "application/json"
_MODEL_ID = re.compile(r"mdl_[0-9a-z]{26}")
StatusFilter = Annotated[Status | None, Query(description="only those with this status", examples=["running"])]
ModelFilter = Annotated[
    str | None,
    Query(min_length=1, max_length=200, description="only those with this model: its id or name", examples=["minilm"]),
]
TeamFilter = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=200,
        description="only those of this team: its name or id; a key sees its own team's alone",
        examples=["default"],
    ),
]


class Shown(RootModel[dict[str, Any]]):
    """What an answer shows, put together already."""


def id_of(kind: str) -> Any:
    """Returns what a path's `id` is of a kind of job."""
    return Path(max_length=200, description="its id", examples=[f"{PREFIXES[kind]}_01kb0000000000000000000000"])


def queued(path: str, whole: type[Any], *more: str) -> dict[int | str, dict[str, Any]]:
    """Returns what OpenAPI is to say of a POST that queues a job: what it answers, and what can be asked of it then.

    Args:
        path: the jobs' path.
        whole: what is answered.
        more: what else can be asked, beside a look and a cancel: the last part of its path, and its function's name.
    """
    stem = re.sub(r"\W", "_", path)
    ids = {"look": f"one{stem}__id__get", "cancel": f"cancelled{stem}__id__cancel_post"}
    ids |= {name: f"{name}{stem}__id__{name}_get" for name in more}
    links = {name: {"operationId": found, "parameters": {"id": "$response.body#/id"}} for name, found in ids.items()}
    return {202: {"model": whole, "description": "queued; `Location` says where to look", "links": links}}


def add(router: APIRouter, kind: str, item: type[Any], whole: type[Any]) -> None:
    """Adds the routes of a kind of job.

    Args:
        router: where to.
        kind: the kind.
        item: what a list shows of one, for OpenAPI.
        whole: what it is with its result, for OpenAPI.
    """
    pages = Page[item]  # type: ignore[valid-type]  # made for OpenAPI

    @router.get("", summary=f"List the team's {router.prefix.rpartition('/')[2]}", responses={200: {"model": pages}})
    def listed(
        state: AppState,
        principal: Reader,
        status: StatusFilter = None,
        model: ModelFilter = None,
        team: TeamFilter = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Response:
        """Newest first, without results: take those by id."""
        with state.database.read() as connection:
            asked = _asked(connection, principal, kind, status, model, team)
            found = page(connection, asked, jobs.c.id, limit, cursor, item_of)
        return Response(to_json({"items": found.items, "next_cursor": found.next_cursor}), media_type=_JSON)

    job = id_of(kind)

    @router.get("/{id}", summary=f"Look at a {kind}", responses={200: {"model": whole}, **etags.NOT_MODIFIED})
    def one(state: AppState, principal: Reader, id: Annotated[str, job], known: etags.IfNoneMatch = None) -> Response:
        """Its status and progress; its result once it has succeeded. What has ended has an `ETag`."""
        with state.database.read() as connection:
            row = find_job(connection, principal.team, kind, id)
            if row["state"] not in FINAL:
                return Response(write(row, None), media_type=_JSON)
            tag = etags.etag(row["id"], row["version"])
            unchanged = etags.unchanged(known, tag)
            if unchanged is not None:
                return unchanged
            result = result_text(connection, id)
        return etags.tagged(Response(write(row, result), media_type=_JSON), tag)

    @router.post("/{id}/cancel", status_code=202, summary=f"Cancel a {kind}", responses={202: {"model": item}})
    def cancelled(state: AppState, principal: Runner, id: Annotated[str, job]) -> Response:
        """Stops it, queued or running. What has ended already stays as it is, and a second call changes nothing."""
        row = state.database.transact(lambda connection: cancel(state, connection, principal, kind, id))
        return Response(to_json(item_of(row)), 202, media_type=_JSON)

    @router.get(
        "/{id}/events",
        summary=f"Follow a {kind}",
        response_class=events.Stream,
        responses={
            200: {
                "model": Event,
                "description": "Server-Sent Events: `progress` at each change, then one of `succeeded`, `failed` and "
                "`cancelled`, each with its `id` and as `data` what is said here; comments keep the line open",
            },
            204: {"description": "`Last-Event-ID` is that of its end: there is nothing more to come"},
        },
    )
    async def followed(
        request: Request,
        state: AppState,
        principal: Reader,
        id: Annotated[str, job],
        last: events.LastEventId = None,
    ) -> Response:
        """Tells how far it is, at least each second while something changes, and how it ended; then the stream ends.

        A key may have so many streams open (`limits.streams` of `/v1/me`); one more is answered 429.
        """
        return await events.events(request.app, state, principal.team, principal.key, kind, id, last)


def ask(
    state: State,
    principal: Principal,
    once: Once,
    path: str,
    body: Asked,
    create: Callable[[State, Connection, Principal, Asked], RowMapping],
) -> Response:
    """Returns the answer to a POST that asks for a measurement, as `queue` does.

    What is waited for, a name server and a built-in probe set, is waited for before there is a transaction.
    """
    if body.webhook_url is not None:
        again = once.again(principal.team)
        if again is not None:  # whatever a name server says by now
            return again
        check_url(state.settings, body.webhook_url, "/webhook_url")
    prepare(state, body.probe)
    return queue(state, principal, once, path, lambda connection: create(state, connection, principal, body))


def queue(
    state: State, principal: Principal, once: Once, path: str, create: Callable[[Connection], RowMapping]
) -> Response:
    """Returns the answer to a POST that queues a job: 202, the job, and `Location`.

    Args:
        state: the application's parts.
        principal: who asks.
        once: the POST.
        path: the jobs' path.
        create: queues it and returns its row.
    """

    def step(connection: Connection) -> Answer:
        row = create(connection)
        return Answer(202, Shown({**item_of(row), "result": None}), {"Location": f"{path}/{row['id']}"})

    return once.answer(principal.team, step)


def cancel(state: State, connection: Connection, principal: Principal, kind: str, job_id: str) -> RowMapping:
    """Cancels a job of the team's that has not ended, and notes who did; returns its row.

    Raises:
        Problem: 404 if the team has none of that kind and id.
    """
    find_job(connection, principal.team, kind, job_id, (jobs.c.id,))
    if state.ledger.cancel(connection, job_id):
        audit.record(state.database, connection, principal, f"{kind}.cancel", job_id)
    return find_job(connection, principal.team, kind, job_id)


def _asked(
    connection: Connection, principal: Principal, kind: str, status: Status | None, model: str | None, team: str | None
) -> sa.Select[Any]:
    asked = sa.select(*FACTS, jobs.c.request).where(
        jobs.c.team_id == principal.team, jobs.c.kind == kind, jobs.c.content.is_(None)
    )
    if team is not None and team not in (principal.team, principal.team_name):
        asked = asked.where(sa.false())  # whether there is such a team is not for this one to know
    if status is not None:
        asked = asked.where(shown_as(status))
    if model is not None:
        # An id is not looked up: that of a model that was deleted since still finds what was done with it.
        known = model if _MODEL_ID.fullmatch(model) else find_model(connection, principal, model, "query/model")["id"]
        asked = asked.where(jobs.c.id.in_(sa.select(job_models.c.job_id).where(job_models.c.model_id == known)))
    return asked

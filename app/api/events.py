"""Events: a job's progress and its end as Server-Sent Events, for as long as anybody listens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated

import anyio
import sqlalchemy as sa
from fastapi import FastAPI, Header, Response
from pydantic_core import to_json
from sqlalchemy import RowMapping
from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import AppStatus
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from app.api.jobs import FACTS, FINAL, event_of, find_job
from app.api.state import State
from app.api.streams import Streams
from app.problems import Problem
from app.storage.database import is_outage
from app.storage.tables import keys

LastEventId = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        max_length=200,
        description="`id` of the last event that was seen; what it said is not said again",
        examples=["7"],
    ),
]
LOOK_SECONDS = 0.4  # between two looks at the row; what changed in between is told in one event
HEARTBEAT_SECONDS = 15.0  # between two comments, so that nothing in between takes the connection for dead
_RETRY_MILLISECONDS = 2000  # how long a browser waits before it connects anew


class Stream(EventSourceResponse):
    """A stream of events, of which a key may have so many."""

    media_type = "text/event-stream"

    # FastAPI looks for a status here.
    def __init__(
        self, told: AsyncIterator[ServerSentEvent], streams: Streams, key: str, status_code: int = 200
    ) -> None:
        super().__init__(
            told,
            status_code,
            ping=HEARTBEAT_SECONDS,
            ping_message_factory=lambda: ServerSentEvent(comment="still here"),
            sep="\n",
        )
        self._streams, self._key = streams, key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends it.

        Raises:
            Problem: 429 if the key has as many as it may; nothing is sent then.
        """
        with self._streams.one(self._key):  # here, where whatever ends the stream passes by
            await super().__call__(scope, receive, send)


async def events(
    app: FastAPI, state: State, team: str, key: str | None, kind: str, job_id: str, last: str | None
) -> Response:
    """Returns the stream of a job's events; an empty 204, at which a browser stops, if its end was seen.

    Args:
        app: the application, whose end ends the stream.
        state: its parts.
        team: who asks.
        key: their key, whose end ends the stream, too.
        kind: the kind of job.
        job_id: the job.
        last: the last event's id that was seen.

    Raises:
        Problem: 404 if there is no such job. Sending it may raise 429, for a key may have so many streams.
    """
    look = partial(_look, state, team, key, kind, job_id)
    row = await run_in_threadpool(look)
    seen = int(last) if last and last.isascii() and last.isdigit() and len(last) < 19 else -1
    if seen > row["version"]:  # of another job, or another database
        seen = -1
    if row["state"] in FINAL and seen == row["version"]:
        return Response(status_code=204)
    # Its own way to end with the server is the whole process's, whatever servers come and go in it; ours is `closing`.
    AppStatus.disable_automatic_graceful_drain()  # type: ignore[no-untyped-call]
    return Stream(_told(app, look, row, seen), app.state.streams, key or team)


async def _told(app: FastAPI, look: partial[RowMapping], row: RowMapping, seen: int) -> AsyncIterator[ServerSentEvent]:
    retry: int | None = _RETRY_MILLISECONDS
    while True:
        if row["version"] > seen:
            seen, ended = row["version"], row["state"] in FINAL
            name = row["state"] if ended else "progress"
            yield ServerSentEvent(to_json(event_of(row)).decode(), event=name, id=str(seen), retry=retry, sep="\n")
            retry = None
            if ended:
                return
        # Neither a thread nor a connection is held while nothing is to be done.
        await anyio.sleep(LOOK_SECONDS)
        if app.state.closing:
            return
        try:
            row = await run_in_threadpool(look)
        except Problem:  # the job is deleted, or the key revoked
            return
        except Exception as error:
            if not is_outage(error):
                raise


def _look(state: State, team: str, key: str | None, kind: str, job_id: str) -> RowMapping:
    with state.database.read() as connection:
        if key is not None:
            live = sa.select(keys.c.id).where(keys.c.id == key, keys.c.revoked_at.is_(None))
            if connection.execute(live).first() is None:
                raise Problem(401, "the key was revoked; ask your operator for another")
        return find_job(connection, team, kind, job_id, FACTS)

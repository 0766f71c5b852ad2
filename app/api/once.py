"""Once: an `Idempotency-Key` makes a POST safe to send again: the first answer comes again, nothing is done twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel
from sqlalchemy import Connection, RowMapping
from sqlalchemy.sql.dml import ReturningInsert

from app.api.state import AppState, State
from app.problems import Problem
from app.storage import Database
from app.storage.purge import purge
from app.storage.tables import idempotency

KEPT_SECONDS = 24 * 3600.0


@dataclass(frozen=True)
class Answer:
    """What a POST answers.

    Attributes:
        status: the HTTP status.
        body: what is shown.
        headers: further headers (`Location`).
    """

    status: int
    body: BaseModel
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Once:
    """A POST that can be sent again."""

    state: State
    key: str | None
    digest: str

    def answer(self, team: str, step: Callable[[Connection], Answer], content: str = "") -> Response:
        """Returns what `step` answers, done in one transaction; or, the second time, what it answered the first.

        Args:
            team: whose key it is.
            step: does what was asked. What it raises undoes all of it, and the key is free again.
            content: what the request holds beside its body's text: an uploaded file's hash.

        Raises:
            Problem: 409 if the key was used for another request.
        """

        def transaction(connection: Connection) -> Response:
            if self.key is None:
                return _response(step(connection))
            return self._first_or_again(connection, self.key, team, step, content)

        return self.state.database.transact(transaction)

    def again(self, team: str, content: str = "") -> Response | None:
        """Returns the first answer if there is one, so that nothing that is done before `answer` can stand in its way.

        Raises:
            Problem: 409 if the key was used for another request.
        """
        if self.key is None:
            return None
        fresh = idempotency.c.created_at >= self.state.database.now() - KEPT_SECONDS
        asked = sa.select(idempotency).where(idempotency.c.team_id == team, idempotency.c.key == self.key, fresh)
        with self.state.database.read() as connection:
            row = connection.execute(asked).mappings().first()
        return None if row is None else self._replay(row, content)

    def _replay(self, row: RowMapping, content: str) -> Response:
        if row["digest"] != self._digest(content):
            raise Problem(409, f"Idempotency-Key {self.key!r} was used for another request; take a new one")
        headers = {**row["headers"], "Idempotent-Replay": "true"}
        return Response(row["body"], row["status"], headers, media_type="application/json")

    def _digest(self, content: str) -> str:
        return hashlib.sha256(f"{self.digest} {content}".encode()).hexdigest()

    def _first_or_again(
        self, connection: Connection, key: str, team: str, step: Callable[[Connection], Answer], content: str
    ) -> Response:
        database = self.state.database
        digest = self._digest(content)
        ours = (idempotency.c.team_id == team, idempotency.c.key == key)
        # Who comes second waits here until the first has ended.
        entered = connection.execute(
            database.prepared(_enter), {"team_id": team, "key": key, "digest": digest, "status": 0, "body": ""}
        ).first()
        if entered is None:
            row = connection.execute(sa.select(idempotency).where(*ours)).mappings().one()
            return self._replay(row, content)
        made = step(connection)
        response = _response(made)
        connection.execute(
            idempotency.update()
            .where(*ours)
            .values(status=made.status, headers=dict(made.headers), body=bytes(response.body).decode())
        )
        return response


def _enter(database: Database) -> ReturningInsert[Any]:
    """The entry of a key that is new, or whose answer is too old to be given again."""
    entry = database.insert(idempotency).values(headers={}, created_at=database.now())
    entered: ReturningInsert[Any] = entry.on_conflict_do_update(
        index_elements=["team_id", "key"],
        set_={name: entry.excluded[name] for name in ("digest", "status", "headers", "body", "created_at")},
        where=idempotency.c.created_at < database.now() - KEPT_SECONDS,
    ).returning(idempotency.c.key)
    return entered


def forget(database: Database) -> int:
    """Deletes the answers that are too old to be given again; returns how many."""
    return purge(database, idempotency, idempotency.c.created_at < database.now() - KEPT_SECONDS)


def _response(made: Answer) -> Response:
    return Response(made.body.model_dump_json(), made.status, dict(made.headers), media_type="application/json")


async def _once(
    request: Request,
    state: AppState,
    key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            min_length=1,
            max_length=200,
            pattern=r"^[\x21-\x7e]+$",
            description="makes it safe to send this request again: within a day, the same key and body get the first "
            "answer again, and the same key with another body gets 409",
            examples=["nightly-2026-11-24"],
        ),
    ] = None,
) -> Once:
    if key is None:
        return Once(state, None, "")
    kind = request.headers.get("content-type", "")
    # A form's parts are known by what its endpoint hands in as content: its boundary differs each time.
    body = b"" if kind.startswith("multipart/") else await request.body()
    with suppress(ValueError, RecursionError):
        body = json.dumps(json.loads(body), sort_keys=True).encode()  # the same request, whatever its spaces
    heard = hashlib.sha256(b" ".join([request.method.encode(), request.url.path.encode(), body]))
    return Once(state, key, heard.hexdigest())


DoOnce = Annotated[Once, Depends(_once)]

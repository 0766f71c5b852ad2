"""Ledger: every change of a job's row, each one transaction, each conditional on what it changes from.

    queued ──claim──> running ──publish──> succeeded
      ^  ^               │ ├──fail──────> failed
      │  └──give back────┘ └──park──> waiting ──(last part succeeded)──> queued
      └──(retry is due, or its worker died)     any of the three ──cancel──> cancelled

A claim raises the row's fence. Whoever holds an older fence changes nothing: execution is at least once, and what it
makes is visible once.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping

from app.jobs.engine import Engine
from app.jobs.handler import Handlers, Part, Queue
from app.storage import Database, new_id
from app.storage.tables import LIVE_SQL, job_models, job_parts, jobs, results

LIVE = ("queued", "running", "waiting")


@dataclass(frozen=True)
class NewJob:
    """What is asked for.

    Attributes:
        kind: the kind of job.
        team: whose it is.
        queue: who works on it.
        request: what the API shows, every default filled in.
        payload: what its work needs.
        priority: 1 to 10, lower first.
        models: the models that it names, for lists.
        webhook_url: who is told when it ends.
    """

    kind: str
    team: str
    queue: Queue
    request: Mapping[str, Any]
    payload: Mapping[str, Any]
    priority: int = 5
    models: Sequence[str] = ()
    webhook_url: str | None = None


@dataclass(frozen=True)
class Claim:
    """A running job in the hands of one worker."""

    job_id: str
    fence: int
    row: RowMapping = field(repr=False)


class Ledger:
    """The jobs' rows."""

    def __init__(self, database: Database, engine: Engine, handlers: Handlers) -> None:
        self.database, self.engine, self.handlers = database, engine, handlers

    # -- by whoever asks ----------------------------------------------------------------------------------------------

    def submit(self, connection: Connection, new: NewJob) -> RowMapping:
        """Makes a job and puts it into the queue, in the caller's transaction; returns its row."""
        job_id = new_id(new.kind)
        row = (
            connection.execute(
                jobs.insert()
                .values(
                    id=job_id,
                    kind=new.kind,
                    team_id=new.team,
                    queue=new.queue,
                    priority=new.priority,
                    state="queued",
                    request=new.request,
                    payload=new.payload,
                    webhook_url=new.webhook_url,
                    created_at=self.database.now(),
                )
                .returning(*jobs.c)
            )
            .mappings()
            .one()
        )
        if new.models:
            distinct = dict.fromkeys(new.models)
            connection.execute(job_models.insert(), [{"job_id": job_id, "model_id": model} for model in distinct])
        self._enqueue(connection, row)
        return row

    def cancel(self, connection: Connection, job_id: str) -> bool:
        """Cancels a job that has not ended; parts that nobody else waits for with it. Returns whether it changed."""
        row = self._finish(connection, job_id, "cancelled")
        if row is None:
            return False
        self._let_parts_go(connection, job_id)
        return True

    def live(self, connection: Connection, team: str) -> int:
        """Returns how many of a team's jobs have not ended, its shared parts not counted."""
        asked = sa.select(sa.func.count()).where(
            jobs.c.state.in_(LIVE), jobs.c.team_id == team, jobs.c.content.is_(None)
        )
        return int(connection.execute(asked).scalar_one())

    # -- by workers ---------------------------------------------------------------------------------------------------

    def claim(self, job_id: str, worker_id: str) -> Claim | None:
        """Takes a queued job in hand; None if it is not queued any more."""
        with self.database.write() as connection:
            now = self.database.now()
            row = self._change(
                connection,
                jobs.c.id == job_id,
                jobs.c.state == "queued",
                jobs.c.retry_at.is_(None),
                state="running",
                worker_id=worker_id,
                fence=jobs.c.fence + 1,
                attempts=jobs.c.attempts + 1,
                started_at=sa.func.coalesce(jobs.c.started_at, now),
                error=None,
            )
        return None if row is None else Claim(job_id, row["fence"], row)

    def report(self, claim: Claim, progress: Mapping[str, Any]) -> bool:
        """Keeps a running job's progress, and tells those who wait for it; returns whether it is still ours."""
        with self.database.write() as connection:
            row = self._change(connection, *_held(claim), progress=progress)
            if row is None:
                return False
            for parent in self._parents(connection, claim.job_id):
                seen = {**progress, "stage": parent["role"]}
                self._change(connection, jobs.c.id == parent["id"], jobs.c.state == "waiting", progress=seen)
        return True

    def is_held(self, claim: Claim) -> bool:
        """Whether a job is still ours to work on."""
        with self.database.read() as connection:
            return connection.execute(sa.select(jobs.c.id).where(*_held(claim))).first() is not None

    def publish(self, claim: Claim, result: Mapping[str, Any]) -> bool:
        """Makes a job's result visible; returns False, having changed nothing, if it is no longer ours."""
        body = json.dumps(result, allow_nan=False, separators=(",", ":"), ensure_ascii=False).encode()
        with self.database.write() as connection:
            row = self._finish(connection, claim.job_id, "succeeded", *_held(claim), result=result)
            if row is None:
                return False
            if self.handlers[row["kind"]].keeps_result:
                sha256 = hashlib.sha256(body).hexdigest()
                connection.execute(
                    results.insert().values(job_id=claim.job_id, body=zlib.compress(body, 6), sha256=sha256)
                )
            for parent in self._parents(connection, claim.job_id):
                self._wake(connection, parent["id"])
        return True

    def park(self, claim: Claim, parts: Sequence[Part]) -> bool:
        """Sets a job aside until its parts are there, joining those that are under way; returns whether it was ours."""
        with self.database.write() as connection:
            row = self._change(connection, *_held(claim), state="waiting", worker_id=None, attempts=jobs.c.attempts - 1)
            if row is None:
                return False
            connection.execute(job_parts.delete().where(job_parts.c.job_id == claim.job_id))
            for part in parts:
                part_id = self._join(connection, part, row)
                connection.execute(job_parts.insert().values(job_id=claim.job_id, part_id=part_id, role=part.role))
        return True

    def fail(self, claim: Claim, error: Mapping[str, Any]) -> bool:
        """Ends a job as failed, and those that wait for it; returns whether it was ours."""
        with self.database.write() as connection:
            return self._fail(connection, claim.job_id, error, *_held(claim))

    def retry(self, claim: Claim, error: Mapping[str, Any], seconds: float, *, outage: bool) -> bool:
        """Puts a job back for later; an outage costs no attempt. Returns whether it was ours."""
        with self.database.write() as connection:
            now = self.database.now()
            changes: dict[str, Any] = {"retry_at": now + seconds, "error": error}
            if outage:
                changes |= {
                    "failing_since": sa.func.coalesce(jobs.c.failing_since, now),
                    "attempts": jobs.c.attempts - 1,
                }
            row = self._change(connection, *_held(claim), state="queued", worker_id=None, **changes)
            if row is None:
                return False
            for parent in self._parents(connection, claim.job_id):
                self._change(connection, jobs.c.id == parent["id"], jobs.c.state == "waiting", error=error)
        return True

    def give_back(self, claim: Claim) -> bool:
        """Puts a job back into the queue as if it had not been taken; returns whether it was ours."""
        with self.database.write() as connection:
            row = self._change(connection, *_held(claim), state="queued", worker_id=None, attempts=jobs.c.attempts - 1)
            if row is not None:
                self._enqueue(connection, row)
        return row is not None

    def retry_due(self) -> int:
        """Puts the jobs back into the queue whose time to be tried again has come; returns how many."""
        due = (jobs.c.state == "queued", jobs.c.retry_at <= self.database.now())
        with self.database.read() as connection:
            found = connection.execute(sa.select(jobs.c.id).where(*due)).scalars().all()
        count = 0
        for job_id in found:
            with self.database.write() as connection:
                row = self._change(connection, jobs.c.id == job_id, *due, retry_at=None)
                if row is not None:
                    self._enqueue(connection, row)
                    count += 1
        return count

    def recover(self, connection: Connection, worker_id: str, most_losses: int) -> int:
        """Puts what a dead worker had in hand back into the queue, or gives it up; returns how many."""
        mine = (jobs.c.worker_id == worker_id, jobs.c.state == "running")
        found = connection.execute(sa.select(jobs.c.id).where(*mine)).scalars().all()
        for job_id in found:
            row = self._change(
                connection,
                jobs.c.id == job_id,
                *mine,
                state="queued",
                worker_id=None,
                fence=jobs.c.fence + 1,  # from here on the dead one, should it wake, changes nothing
                losses=jobs.c.losses + 1,
                attempts=jobs.c.attempts - 1,
            )
            if row is not None and row["losses"] >= most_losses:
                detail = (
                    f"{row['losses']} workers died while they worked on it; it may need more memory than a worker has: "
                    "take fewer samples or layers"
                )
                self._fail(connection, job_id, {"stage": None, "model": None, "detail": detail}, jobs.c.id == job_id)
            elif row is not None:
                self._enqueue(connection, row)
        return len(found)

    # -- within transactions ------------------------------------------------------------------------------------------

    def _change(self, connection: Connection, *where: Any, **values: Any) -> RowMapping | None:
        statement = jobs.update().where(*where).values(version=jobs.c.version + 1, **values).returning(*jobs.c)
        return connection.execute(statement).mappings().one_or_none()

    def _finish(
        self,
        connection: Connection,
        job_id: str,
        state: str,
        *where: Any,
        result: Mapping[str, Any] | None = None,
        **values: Any,
    ) -> RowMapping | None:
        row = self._change(
            connection,
            jobs.c.id == job_id,
            jobs.c.state.in_(LIVE),
            *where,
            state=state,
            finished_at=self.database.now(),
            retry_at=None,
            **values,
        )
        if row is not None:
            self.handlers[row["kind"]].settled(connection, row, result)
        return row

    def _fail(self, connection: Connection, job_id: str, error: Mapping[str, Any], *where: Any) -> bool:
        if self._finish(connection, job_id, "failed", *where, error=error) is None:
            return False
        self._let_parts_go(connection, job_id)
        for parent in self._parents(connection, job_id):
            self._fail(connection, parent["id"], {**error, "stage": parent["role"]}, jobs.c.state == "waiting")
        return True

    def _enqueue(self, connection: Connection, row: RowMapping) -> None:
        dispatches = row["dispatches"] + 1
        connection.execute(jobs.update().where(jobs.c.id == row["id"]).values(dispatches=dispatches))
        self.engine.enqueue(
            connection, row["id"], dispatches, queue=row["queue"], team=row["team_id"], priority=row["priority"]
        )

    def _parents(self, connection: Connection, part_id: str) -> Sequence[RowMapping]:
        asked = (
            sa.select(jobs.c.id, job_parts.c.role)
            .join(job_parts, job_parts.c.job_id == jobs.c.id)
            .where(job_parts.c.part_id == part_id, jobs.c.state == "waiting")
            .order_by(jobs.c.id, job_parts.c.role)
        )
        return connection.execute(asked).mappings().all()

    def _join(self, connection: Connection, part: Part, parent: RowMapping) -> str:
        """Returns the id of the part that is under way, made if there is none."""
        values = {
            "id": new_id(part.kind),
            "kind": part.kind,
            "content": part.content,
            "team_id": parent["team_id"],
            "queue": part.queue,
            "priority": parent["priority"],
            "state": "queued",
            "request": {},
            "payload": part.payload,
            "created_at": self.database.now(),
        }
        made = (
            connection.execute(
                self.database.insert(jobs)
                .values(values)
                .on_conflict_do_nothing(index_elements=["content"], index_where=sa.text(LIVE_SQL))
                .returning(*jobs.c)
            )
            .mappings()
            .one_or_none()
        )
        if made is not None:
            self._enqueue(connection, made)
            return str(made["id"])
        # On PostgreSQL the row is locked, so that it cannot end between this look and our edge to it.
        asked = sa.select(jobs.c.id).where(jobs.c.content == part.content, jobs.c.state.in_(LIVE)).with_for_update()
        found = connection.execute(asked).scalar_one_or_none()
        return str(found) if found is not None else self._join(connection, part, parent)

    def _wake(self, connection: Connection, parent_id: str) -> None:
        """Puts a waiting job back into the queue if all its parts are there."""
        open_parts = (
            sa.select(jobs.c.id)
            .join(job_parts, job_parts.c.part_id == jobs.c.id)
            .where(job_parts.c.job_id == parent_id, jobs.c.state != "succeeded")
        )
        # The lock makes two parts that end at once look one after the other: the later one sees both.
        connection.execute(sa.select(jobs.c.id).where(jobs.c.id == parent_id).with_for_update())
        if connection.execute(open_parts).first() is None:
            row = self._change(
                connection, jobs.c.id == parent_id, jobs.c.state == "waiting", state="queued", error=None
            )
            if row is not None:
                self._enqueue(connection, row)

    def _let_parts_go(self, connection: Connection, job_id: str) -> None:
        """Cancels the parts that a job waited for, but for those that another waits for too."""
        waited = connection.execute(sa.select(job_parts.c.part_id).where(job_parts.c.job_id == job_id)).scalars().all()
        for part_id in dict.fromkeys(waited):
            connection.execute(sa.select(jobs.c.id).where(jobs.c.id == part_id).with_for_update())
            if not self._parents(connection, part_id):
                self._finish(connection, part_id, "cancelled")


def _held(claim: Claim) -> tuple[Any, ...]:
    return (jobs.c.id == claim.job_id, jobs.c.fence == claim.fence, jobs.c.state == "running")


def result_of(connection: Connection, job_id: str) -> tuple[Mapping[str, Any], str] | None:
    """Returns a job's result and its sha256; None if it has none."""
    row = connection.execute(sa.select(results).where(results.c.job_id == job_id)).mappings().one_or_none()
    return None if row is None else (json.loads(zlib.decompress(row["body"])), str(row["sha256"]))

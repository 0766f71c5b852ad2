"""Ledger: every change of a job's row, each one transaction, each conditional on what it changes from.

    queued ──claim──> running ──publish──> succeeded
      ^  ^               │ ├──fail──────> failed
      │  └──give back────┘ └──park──> waiting ──(last part succeeded)──> queued
      └──(retry is due, or its worker died)     any of the three ──cancel──> cancelled

A claim raises the row's fence. Whoever holds an older fence changes nothing: execution is at least once, and what it
makes is visible once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping
from sqlalchemy.sql.dml import ReturningInsert

from app.jobs.claim import Claim, held
from app.jobs.engine import Engine
from app.jobs.handler import Handlers, Part, Queue
from app.jobs.parts import Parts
from app.jobs.results import spell
from app.jobs.rows import QUEUED, Rows
from app.storage import Database, new_id
from app.storage.tables import OWN_LIVE_SQL, job_models, jobs, results, workers

_MOST_PARKS = 16  # how often a job may find that a part is missing; a store that loses them would have it ask for ever

# What is published has gone through its last stage, whatever was told of it on the way.
_WHOLE = {"stage": "store", "done": 1, "total": 1, "eta_seconds": 0.0}


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


class Ledger:
    """The jobs' rows."""

    def __init__(self, database: Database, engine: Engine, handlers: Handlers) -> None:
        self.database, self.engine, self.handlers = database, engine, handlers
        self._rows = Rows(database, engine, handlers)
        self._parts = Parts(self._rows)

    # -- by whoever asks ----------------------------------------------------------------------------------------------

    def submit(self, connection: Connection, new: NewJob) -> RowMapping:
        """Makes a job and puts it into the queue, in the caller's transaction; returns its row."""
        values = {
            "id": new_id(new.kind),
            "kind": new.kind,
            "team_id": new.team,
            "queue": new.queue,
            "priority": new.priority,
            "request": new.request,
            "payload": new.payload,
            "webhook_url": new.webhook_url,
        }
        row = connection.execute(self.database.prepared(_new), values).mappings().one()
        if new.models:
            distinct = dict.fromkeys(new.models)
            connection.execute(_NAMES, [{"job_id": row["id"], "model_id": model} for model in distinct])
        self._rows.put(connection, row, row["dispatches"])
        return row

    def cancel(self, connection: Connection, job_id: str) -> bool:
        """Cancels a job that has not ended, with the parts that nobody else waits for; returns whether it changed.

        A part that a job waits for is that job's: it stays. What of its end cannot be settled is left out.
        """
        self.database.alone(connection)
        return self._parts.cancel(connection, job_id, regardless=True)

    def live(self, connection: Connection, team: str) -> int:
        """Returns how many of a team's jobs have not ended, its shared parts not counted."""
        return int(connection.execute(_LIVE, {"team": team}).scalar_one())

    def few(self, connection: Connection, team: str, most: int) -> int:
        """Returns how many of a team's jobs have not ended, as `live`, but counts no further than so many."""
        return int(connection.execute(_FEW, {"team": team, "most": most}).scalar_one())

    # -- by workers ---------------------------------------------------------------------------------------------------

    def claim(self, job_id: str, worker_id: str) -> Claim | None:
        """Takes a queued job in hand; None if it is not queued any more, or the worker was declared dead."""
        with self.database.write() as connection:
            # A worker that wakes after it was declared dead takes nothing. The lock (PostgreSQL's; SQLite has one
            # writer) has whoever declares it dead see this claim, or this claim see that.
            me = sa.select(workers.c.state).where(workers.c.id == worker_id).with_for_update(read=True)
            if connection.execute(me).scalar_one_or_none() not in ("alive", None):
                return None
            now = self.database.now()
            row = self._rows.change(
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
            if row is None:
                return None
            since = row["failing_since"]
            waited = 0.0 if since is None else max(0.0, connection.execute(sa.select(now)).scalar_one() - since)
        return Claim(job_id, row["fence"], row, waited)

    def report(self, claim: Claim, progress: Mapping[str, Any]) -> bool:
        """Keeps a running job's progress, and tells those who wait for it; returns whether it is still ours."""
        with self.database.write() as connection:
            if self._rows.change(connection, *held(claim), progress=progress) is None:
                return False
        if claim.is_part:  # in a transaction of its own, so that it holds no row while it waits to be alone
            with self.database.write() as connection:
                self.database.alone(connection)
                self._parts.tell(connection, claim.job_id, progress, column="progress")
        return True

    def is_held(self, claim: Claim) -> bool:
        """Whether a job is still ours to work on."""
        with self.database.read() as connection:
            return connection.execute(sa.select(jobs.c.id).where(*held(claim))).first() is not None

    def publish(self, claim: Claim, result: Mapping[str, Any]) -> bool:
        """Makes a job's result visible; returns False, having changed nothing, if it is no longer ours.

        Raises:
            ValueError: if the result is not JSON: it holds a number that is not finite.
        """
        stored = spell(result)  # while nobody waits
        with self.database.write() as connection:
            if claim.is_part:
                self.database.alone(connection)
            row = self._rows.finish(
                connection, claim.job_id, "succeeded", *held(claim), result=result, error=None, progress=_WHOLE
            )
            if row is None:
                return False
            if self.handlers[row["kind"]].keeps_result:
                connection.execute(results.insert().values(job_id=claim.job_id, **stored))
            if claim.is_part:
                self._parts.succeeded(connection, claim.job_id)
        return True

    def park(self, claim: Claim, parts: Sequence[Part]) -> bool:
        """Sets a job aside until its parts are there, joining those that are under way; returns whether it was ours.

        A job that has asked for parts again and again, and each time found them missing once made, ends as failed.
        """
        with self.database.write() as connection:
            self.database.alone(connection)
            row = self._rows.change(
                connection,
                *held(claim),
                state="waiting",
                worker_id=None,
                attempts=jobs.c.attempts - 1,
                parks=jobs.c.parks + 1,
                failing_since=None,  # it came this far: what fails later is another outage
            )
            if row is None:
                return False
            if row["parks"] > _MOST_PARKS:
                detail = f"what it needs was made {_MOST_PARKS} times and was missing each time; check the data folder"
                self._parts.fail(connection, claim.job_id, {"stage": parts[0].role, "model": None, "detail": detail})
            else:
                self._parts.attach(connection, row, parts)
        return True

    def fail(self, claim: Claim, error: Mapping[str, Any], *, regardless: bool = False) -> bool:
        """Ends a job as failed, and those that wait for it; returns whether it was ours. See `Rows.finish`."""
        with self.database.write() as connection:
            self.database.alone(connection)
            return self._parts.fail(connection, claim.job_id, error, *held(claim), regardless=regardless)

    def retry(self, claim: Claim, error: Mapping[str, Any], seconds: float, *, outage: bool) -> bool:
        """Puts a job back for later; an outage costs no attempt. Returns whether it was ours."""
        with self.database.write() as connection:
            if claim.is_part:
                self.database.alone(connection)
            now = self.database.now()
            changes: dict[str, Any] = {"retry_at": now + seconds, "error": error, "failing_since": None}
            if outage:
                changes |= {
                    "failing_since": sa.func.coalesce(jobs.c.failing_since, now),
                    "attempts": jobs.c.attempts - 1,
                }
            row = self._rows.change(connection, *held(claim), state="queued", worker_id=None, **changes)
            if row is not None and claim.is_part:
                self._parts.tell(connection, claim.job_id, error, column="error")
        return row is not None

    def give_back(self, claim: Claim) -> bool:
        """Puts a job back into the queue as if it had not been taken; returns whether it was ours."""
        with self.database.write() as connection:
            changes = {"state": "queued", "worker_id": None, "attempts": jobs.c.attempts - 1, "failing_since": None}
            row = self._rows.change(connection, *held(claim), **changes)
            if row is not None:
                self._rows.enqueue(connection, row)
        return row is not None

    def requeue(self, job_id: str) -> bool:
        """Puts a queued job into the queue anew, whose entry was used up; returns whether it is queued."""
        with self.database.write() as connection:
            row = self._rows.change(connection, jobs.c.id == job_id, *QUEUED)
            if row is not None:
                self._rows.enqueue(connection, row)
        return row is not None


_OWN = sa.select(jobs.c.id).where(sa.text(OWN_LIVE_SQL), jobs.c.team_id == sa.bindparam("team"))
_LIVE = sa.select(sa.func.count()).select_from(_OWN.subquery())
_FEW = sa.select(sa.func.count()).select_from(_OWN.limit(sa.bindparam("most", type_=sa.Integer)).subquery())
_NAMES = job_models.insert()


def _new(database: Database) -> ReturningInsert[Any]:
    # Its entry in the queue is counted at once; what it was told of the work it is not told again.
    values = {"state": "queued", "dispatches": 1, "created_at": database.now()}
    return jobs.insert().values(values).returning(*(column for column in jobs.c if column is not jobs.c.payload))

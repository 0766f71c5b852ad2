"""Rows: the three steps that every transition of a job is made of: change it, end it, put it into the queue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, RowMapping

from app.jobs.engine import Engine
from app.jobs.handler import Handlers
from app.jobs.settling import settle_what_can_be
from app.storage import Database
from app.storage.tables import jobs

LIVE = ("queued", "running", "waiting")
QUEUED = (jobs.c.state == "queued", jobs.c.retry_at.is_(None))  # and not to be tried again later


class Rows:
    """The jobs' rows, one at a time, within a transaction of the caller's."""

    def __init__(self, database: Database, engine: Engine, handlers: Handlers) -> None:
        self.database, self.engine, self.handlers = database, engine, handlers

    def change(self, connection: Connection, *where: Any, **values: Any) -> RowMapping | None:
        """Changes one row if it is as `where` says; returns it as it is then, or None."""
        statement = jobs.update().where(*where).values(version=jobs.c.version + 1, **values).returning(*jobs.c)
        return connection.execute(statement).mappings().one_or_none()

    def finish(
        self,
        connection: Connection,
        job_id: str,
        state: str,
        *where: Any,
        result: Mapping[str, Any] | None = None,
        regardless: bool = False,
        **values: Any,
    ) -> RowMapping | None:
        """Ends a job that has not ended, and settles what its end changes; returns its row, or None.

        Args:
            connection: the transaction.
            job_id: the job.
            state: how it ends.
            where: what else must be so.
            result: what it found.
            regardless: whether it ends even if something of that cannot be settled, without that.
            values: what else its row is to say.
        """
        row = self.change(
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
            settled = self.handlers[row["kind"]].settled
            if regardless:
                settle_what_can_be(settled, connection, row, result)
            else:
                settled(connection, row, result)
        return row

    def enqueue(
        self, connection: Connection, row: RowMapping, *, team: str | None = None, priority: int | None = None
    ) -> None:
        """Puts a job into the queue under a new name.

        A job may be in the queue more than once: whoever comes first claims it, and the others find nothing to do.

        Args:
            connection: the transaction.
            row: the job.
            team: among whose jobs it waits, if not its own team's.
            priority: its priority there, if not its own.
        """
        dispatch = row["dispatches"] + 1
        connection.execute(jobs.update().where(jobs.c.id == row["id"]).values(dispatches=dispatch))
        self.put(connection, row, dispatch, team=team, priority=priority)

    def put(
        self,
        connection: Connection,
        row: RowMapping,
        dispatch: int,
        *,
        team: str | None = None,
        priority: int | None = None,
    ) -> None:
        """Puts a job into the queue as an entry that its row counts already."""
        # What was in hand before goes ahead of its equals: it has waited its turn once.
        been = row["fence"] > 0 or row["parks"] > 0
        self.engine.enqueue(
            connection,
            row["id"],
            dispatch,
            queue=row["queue"],
            team=team or row["team_id"],
            priority=2 * (priority or row["priority"]) - been,
        )

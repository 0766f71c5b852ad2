"""Parts: what jobs share. A part of a content is under way once, however many jobs wait for it.

Its end wakes or fails those that wait; a job that ends lets go of the parts that nobody else waits for. Such a change
touches several rows, in whichever order the graph has, and so is made alone (`Database.alone`): no two lock each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping

from app.jobs.handler import Part
from app.jobs.rows import LIVE, Rows
from app.storage import new_id
from app.storage.tables import LIVE_SQL, job_parts, jobs


class Parts:
    """The edges between jobs, within a transaction that is alone."""

    def __init__(self, rows: Rows) -> None:
        self._rows, self._database = rows, rows.database

    def parents(self, connection: Connection, part_id: str) -> Sequence[RowMapping]:
        """Returns the jobs that wait for a part: `id`, `error` and the part's `role`, once a role."""
        asked = (
            sa.select(jobs.c.id, jobs.c.error, job_parts.c.role)
            .join(job_parts, job_parts.c.job_id == jobs.c.id)
            .where(job_parts.c.part_id == part_id, jobs.c.state == "waiting")
            .order_by(jobs.c.id, job_parts.c.role)
        )
        return connection.execute(asked).mappings().all()

    def attach(self, connection: Connection, job: RowMapping, parts: Sequence[Part]) -> None:
        """Has a waiting job wait for parts, joining those that are under way."""
        # Those that it waited for before have succeeded, else it would not have been woken: they stay, to be counted.
        for part in parts:
            part_id = self._join(connection, part, job)
            connection.execute(job_parts.insert().values(job_id=job["id"], part_id=part_id, role=part.role))

    def tell(self, connection: Connection, part_id: str, what: Mapping[str, Any], *, column: str) -> None:
        """Shows a part's progress or error to those who wait for it, as theirs, named by its role."""
        for parent in self.parents(connection, part_id):
            told: Mapping[str, Any] = {**what, "stage": parent["role"]}
            if column == "error":  # of the few that fail for now, and so the whole row may be read
                row = connection.execute(sa.select(jobs).where(jobs.c.id == parent["id"])).mappings().one()
                told = self._rows.handlers[row["kind"]].told(row, told)
            self._rows.change(connection, jobs.c.id == parent["id"], jobs.c.state == "waiting", **{column: told})

    def succeeded(self, connection: Connection, part_id: str) -> None:
        """Wakes those who waited for this part alone; from the others goes what it had told them of its troubles."""
        for parent in self.parents(connection, part_id):
            open_parts = (
                sa.select(jobs.c.id)
                .join(job_parts, job_parts.c.part_id == jobs.c.id)
                .where(job_parts.c.job_id == parent["id"], jobs.c.state != "succeeded")
            )
            waiting = (jobs.c.id == parent["id"], jobs.c.state == "waiting")
            if connection.execute(open_parts).first() is None:
                row = self._rows.change(connection, *waiting, state="queued", error=None)
                if row is not None:
                    self._rows.enqueue(connection, row)
            elif parent["error"] and parent["error"].get("stage") == parent["role"]:
                self._rows.change(connection, *waiting, error=None)

    def fail(
        self, connection: Connection, job_id: str, error: Mapping[str, Any], *where: Any, regardless: bool = False
    ) -> bool:
        """Ends a job as failed, and those that wait for it; returns whether it changed. See `Rows.finish`."""
        if self._rows.finish(connection, job_id, "failed", *where, error=error, regardless=regardless) is None:
            return False
        self._let_go(connection, job_id, regardless=regardless)
        for parent in self.parents(connection, job_id):
            told, waiting = {**error, "stage": parent["role"]}, jobs.c.state == "waiting"
            self.fail(connection, parent["id"], told, waiting, regardless=regardless)
        return True

    def cancel(self, connection: Connection, job_id: str, *, regardless: bool = False) -> bool:
        """Cancels a job that nobody waits for; parts of it that nobody else waits for with it. See `Rows.finish`."""
        if self.parents(connection, job_id):
            return False
        if self._rows.finish(connection, job_id, "cancelled", regardless=regardless) is None:
            return False
        self._let_go(connection, job_id, regardless=regardless)
        return True

    def _let_go(self, connection: Connection, job_id: str, *, regardless: bool) -> None:
        asked = (
            sa.select(jobs.c.id)
            .join(job_parts, job_parts.c.part_id == jobs.c.id)
            .where(job_parts.c.job_id == job_id, jobs.c.state.in_(LIVE))
            .distinct()
            .order_by(jobs.c.id)
        )
        for part_id in connection.execute(asked).scalars().all():
            self.cancel(connection, part_id, regardless=regardless)

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
            "created_at": self._database.now(),
        }
        made = (
            connection.execute(
                self._database.insert(jobs)
                .values(values)
                .on_conflict_do_nothing(index_elements=["content"], index_where=sa.text(LIVE_SQL))
                .returning(*jobs.c)
            )
            .mappings()
            .one_or_none()
        )
        if made is not None:
            self._rows.enqueue(connection, made)
            return str(made["id"])
        # Parts end alone, too: what was there at the insertion is there still. The lock keeps a claim off meanwhile.
        asked = sa.select(jobs).where(jobs.c.content == part.content, jobs.c.state.in_(LIVE)).with_for_update()
        found = connection.execute(asked).mappings().one()
        self._hasten(connection, found, parent)
        return str(found["id"])

    def _hasten(self, connection: Connection, part: RowMapping, parent: RowMapping) -> None:
        """Has a part that nobody works on yet wait among the jobs of the parent's team too, if that may be sooner.

        A team with two jobs is not to wait for the hundreds of the team that happened to need the same part first.
        """
        sooner = parent["team_id"] != part["team_id"] or parent["priority"] < part["priority"]
        if part["state"] == "queued" and part["retry_at"] is None and sooner:
            self._rows.enqueue(connection, part, team=parent["team_id"], priority=parent["priority"])

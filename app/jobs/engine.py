"""Engine: the durable queue, as those see it who put work in. With `dispatcher`, all that knows DBOS.

A job is put into the queue in the transaction that makes its row (`enqueue`), each time under a new name, and a worker
that takes it runs it (`dispatcher`). Within a queue teams are partitions: DBOS takes them in random order and bounds
how many of each run at once, so that one team's hundreds do not hold up another's two; within a team it is priority,
then age. What DBOS leaves to us is in `ledger` (fencing, shared parts, retries) and `roster` (heartbeats, the reaper).
"""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Collection, Sequence

import sqlalchemy as sa
from dbos import DBOS, DBOSClient, DBOSPortableJSONSerializer, WorkflowSerializationFormat
from sqlalchemy import Connection

from app.storage import Database

APPLICATION = "accord"
# Recovery and dequeuing pass over work of another version: it is raised with the meaning of a job's row, not with ours.
VERSION = "1"
WORKFLOW = "accord.job"
_POLL_SECONDS = 0.1
_FINISHED = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
# To the letter as DBOS's partial indexes have them: so a database knows that an index answers, however long the queue.
_TAKEN = sa.text("status = 'PENDING'")
_BROKEN = sa.text("status IN ('ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED')")


class Engine:
    """The queue."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._entries = sa.table(
            "workflow_status",
            sa.column("workflow_uuid", sa.String),
            sa.column("status", sa.String),
            sa.column("executor_id", sa.String),
            schema=None if database.is_sqlite else "dbos",
        )
        self._client = DBOSClient(
            system_database_url=database.url,
            serializer=DBOSPortableJSONSerializer(),
            application_name=APPLICATION,
            lazy=True,
            retry_connection_errors=False,  # an API answers 503 where a worker would wait
        )

    @staticmethod
    def migrate(database: Database) -> None:
        """Makes or updates the queue's own tables."""
        quieten()
        DBOS.migrate(database.url)

    def open(self, queues: Collection[str], per_team: int) -> None:
        """Makes the queues.

        Args:
            queues: their names.
            per_team: how many of a team's jobs may run at once in each of them, everywhere; the last word counts.
        """
        for name in queues:
            self._client.register_queue(
                name,
                worker_concurrency=1,  # until a worker's dispatcher has it follow the devices
                partition_concurrency=per_team,
                polling_interval_sec=_POLL_SECONDS,
                on_conflict="always_update",
            )

    def enqueue(
        self, connection: Connection, job_id: str, dispatch: int, *, queue: str, team: str, priority: int
    ) -> None:
        """Puts a job into a queue, in the caller's transaction.

        Args:
            connection: the transaction.
            job_id: the job.
            dispatch: how often it was put in, this time counted; each time it is a new entry.
            queue: which queue.
            team: among whose jobs.
            priority: 1 and up, lower first.
        """
        self._client.enqueue_in_transaction(
            connection,
            {
                "workflow_name": WORKFLOW,
                "queue_name": queue,
                "workflow_id": f"{job_id}/{dispatch}",
                "app_version": VERSION,
                "priority": priority,
                "queue_partition_key": team,
                "serialization_type": WorkflowSerializationFormat.PORTABLE,
            },
            job_id,
        )

    def stands(self, entry: sa.ColumnElement[str], alive: sa.Select[tuple[str]]) -> sa.ColumnElement[bool]:
        """Returns a condition for statements: an entry waits in its queue, or is in the hands of a live executor.

        Args:
            entry: its name, as an expression.
            alive: the ids of the executors that live.
        """
        entries = self._entries.c
        in_hand = sa.and_(entries.status == "PENDING", entries.executor_id.in_(alive))
        return sa.exists().where(
            entries.workflow_uuid == entry, sa.or_(entries.status.in_(["ENQUEUED", "DELAYED"]), in_hand)
        )

    def taken(self, executor_id: str | None = None) -> list[tuple[str, str]]:
        """Returns the entries in hand, each with its executor: all, or one executor's."""
        entries = self._entries.c
        asked = sa.select(entries.workflow_uuid, entries.executor_id).where(_TAKEN)
        if executor_id is not None:
            asked = asked.where(entries.executor_id == executor_id)
        with self.database.read() as connection:
            return [(entry, executor) for entry, executor in connection.execute(asked)]

    def abandoned(self, alive: sa.Select[tuple[str]]) -> list[str]:
        """Returns the entries in the hands of executors that are not among those that live."""
        entries = self._entries.c
        asked = sa.select(entries.workflow_uuid).where(_TAKEN, entries.executor_id.not_in(alive))
        with self.database.read() as connection:
            return list(connection.execute(asked).scalars())

    def broken(self) -> list[str]:
        """Returns the entries that were dropped or broke off, and are not pruned yet."""
        with self.database.read() as connection:
            return list(connection.execute(sa.select(self._entries.c.workflow_uuid).where(_BROKEN)).scalars())

    @property
    def entry(self) -> sa.ColumnElement[str]:
        """An entry's name: its job's id, and which of its entries it is."""
        return self._entries.c.workflow_uuid

    def waiting(self, where: sa.ColumnElement[bool]) -> list[str]:
        """Returns the entries that nobody has taken yet, and that are as `where` says."""
        asked = sa.select(self.entry).where(self._entries.c.status == "ENQUEUED", where)
        with self.database.read() as connection:
            return list(connection.execute(asked).scalars())

    def drop(self, entries: Sequence[str]) -> None:
        """Takes entries out of the queue, and out of the count of what runs; those that are done are left alone."""
        if entries:
            self._client.cancel_workflows(list(entries))

    def prune(self, seconds: float, most: int = 1000) -> int:
        """Deletes entries that were done so long ago, so many at once; returns how many."""
        total = 0
        while count := self._prune_some(seconds, most):
            total += count
            if count < most:
                break
        return total

    def _prune_some(self, seconds: float, most: int) -> int:
        moment = datetime.datetime.fromtimestamp(time.time() - seconds, datetime.UTC).isoformat()
        done = self._client.list_workflows(
            status=_FINISHED, completed_before=moment, limit=most, load_input=False, load_output=False
        )
        if done:
            self._client.delete_workflows([workflow.workflow_id for workflow in done])
        return len(done)

    def is_there(self) -> bool:
        """Whether the queue's own tables are there and answer."""
        return isinstance(self._client.list_workflows(limit=1, load_input=False, load_output=False), list)

    def close(self) -> None:
        """Lets the connections go."""
        self._client.destroy()


def quieten() -> None:
    """Has DBOS say only what is an error."""
    logging.getLogger("dbos").setLevel(logging.ERROR)

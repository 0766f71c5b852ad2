"""Engine: the durable queue. The one module that knows DBOS.

A job is put into the queue in the transaction that makes its row (`enqueue`), each time under a new name, and a worker
that takes it runs it through `run`. Within a queue teams are partitions: DBOS takes them in random order and bounds how
many of each run at once, so that one team's hundreds do not hold up another's two; within a team it is priority, then
age. What DBOS leaves to us is in `ledger` (fencing, shared parts, retries) and `worker` (heartbeats, the reaper).
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Mapping
from typing import Any

from dbos import DBOS, DBOSClient, DBOSConfig, DBOSPortableJSONSerializer, WorkflowSerializationFormat
from sqlalchemy import Connection

from app.storage import Database

_APPLICATION = "accord"
# Recovery and dequeuing pass over work of another version: it is raised with the meaning of a job's row, not with ours.
_VERSION = "1"
_POLL_SECONDS = 0.1
_WORKFLOW = "accord.job"
_FINISHED = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]


class Engine:
    """The queue, for whoever puts work in: API, workers, schedules."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._client = DBOSClient(
            system_database_url=database.url,
            serializer=DBOSPortableJSONSerializer(),
            application_name=_APPLICATION,
            lazy=True,
            retry_connection_errors=False,  # an API answers 503 where a worker would wait
        )

    @staticmethod
    def migrate(database: Database) -> None:
        """Makes or updates the queue's own tables."""
        _quieten()
        DBOS.migrate(database.url)

    def enqueue(
        self, connection: Connection, job_id: str, dispatch: int, *, queue: str, team: str, priority: int
    ) -> None:
        """Puts a job into a queue, in the caller's transaction.

        Args:
            connection: the transaction.
            job_id: the job.
            dispatch: how often it was put in before; each time it is a new entry.
            queue: which queue.
            team: whose it is.
            priority: 1 and up, lower first.
        """
        self._client.enqueue_in_transaction(
            connection,
            {
                "workflow_name": _WORKFLOW,
                "queue_name": queue,
                "workflow_id": f"{job_id}/{dispatch}",
                "app_version": _VERSION,
                "priority": priority,
                "queue_partition_key": team,
                "serialization_type": WorkflowSerializationFormat.PORTABLE,
            },
            job_id,
        )

    def forget(self, executor_id: str) -> None:
        """Ends what a dead worker had taken, so that it no longer counts as running."""
        pending = self._client.list_workflows(
            status="PENDING", executor_id=executor_id, load_input=False, load_output=False
        )
        if pending:
            self._client.cancel_workflows([workflow.workflow_id for workflow in pending])

    def drop(self, entries: list[str]) -> None:
        """Takes entries out of the queue; those that are out already are left alone."""
        if entries:
            self._client.cancel_workflows(entries)

    def prune(self, before: float, most: int = 1000) -> int:
        """Deletes entries that were done before a moment; returns how many."""
        moment = datetime.datetime.fromtimestamp(before, datetime.UTC).isoformat()
        done = self._client.list_workflows(
            status=_FINISHED, completed_before=moment, limit=most, load_input=False, load_output=False
        )
        if done:
            self._client.delete_workflows([workflow.workflow_id for workflow in done])
        return len(done)

    def is_there(self) -> bool:
        """Whether the queue's own tables are there and answer."""
        asked = self._client.list_workflows(limit=1, load_input=False, load_output=False)
        return isinstance(asked, list)

    def close(self) -> None:
        """Lets the connections go."""
        self._client.destroy()


class Dispatcher:
    """The queue, for a worker: takes jobs and runs them. One a process."""

    def __init__(
        self,
        database: Database,
        executor_id: str,
        slots: Mapping[str, int],
        *,
        per_team: int,
        run: Callable[[str], None],
    ) -> None:
        """Begins to take jobs.

        Args:
            database: the database, migrated.
            executor_id: this boot of this worker; no two live ones may share it.
            slots: how many jobs of each queue may run here at once; other queues are left alone.
            per_team: how many of a team's may run at once, everywhere.
            run: does a job, given its id; it answers for its errors itself.
        """
        _quieten()
        config: DBOSConfig = {
            "name": _APPLICATION,
            "system_database_url": database.url,
            "application_version": _VERSION,
            "executor_id": executor_id,
            "serializer": DBOSPortableJSONSerializer(),
            "run_migrations": False,
            "use_listen_notify": False,
            "log_level": "ERROR",
            "console_log_level": "ERROR",
        }
        DBOS(config=config)

        @DBOS.workflow(name=_WORKFLOW)
        def job(job_id: str) -> None:
            run(job_id)

        DBOS.listen_queues(list(slots))
        DBOS.launch()
        for name, count in slots.items():
            DBOS.register_queue(
                name,
                worker_concurrency=count,
                partition_concurrency=per_team,
                polling_interval_sec=_POLL_SECONDS,
                on_conflict="always_update",
            )

    def stop(self, seconds: int) -> None:
        """Takes no more, waits until what runs is done, at most so long, and lets go."""
        DBOS.destroy(workflow_completion_timeout_sec=seconds, destroy_registry=True)


def _quieten() -> None:
    logging.getLogger("dbos").setLevel(logging.ERROR)


def entry(job: Mapping[str, Any]) -> str:
    """Returns the name that a job's row has in the queue now."""
    return f"{job['id']}/{job['dispatches']}"

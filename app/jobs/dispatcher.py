"""Dispatcher: the durable queue, as a worker sees it that takes work out. With `engine`, all that knows DBOS."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer

from app.jobs.engine import APPLICATION, VERSION, WORKFLOW, Engine, quieten


class Dispatcher:
    """Takes jobs and runs them. One a process."""

    def __init__(
        self,
        engine: Engine,
        executor_id: str,
        queues: Sequence[str],
        *,
        per_team: int,
        free: Callable[[], int],
        run: Callable[[str], None],
    ) -> None:
        """Begins to take jobs.

        Args:
            engine: the queue, its database migrated.
            executor_id: this boot of this worker; no two live ones may share it.
            queues: those that it takes from; others are left alone.
            per_team: how many of a team's jobs may run at once in each, everywhere.
            free: says how many more may run here now.
            run: does a job, given its id; it answers for its errors itself.
        """
        quieten()
        self._engine, self._executor_id = engine, executor_id
        self._lock = threading.Lock()
        self._in_hand: set[str] = set()
        self._suspects: set[str] = set()
        config: DBOSConfig = {
            "name": APPLICATION,
            "system_database_url": engine.database.url,
            "application_version": VERSION,
            "executor_id": executor_id,
            "serializer": DBOSPortableJSONSerializer(),
            "run_migrations": False,
            "use_listen_notify": False,
            "log_level": "ERROR",
            "console_log_level": "ERROR",
        }
        engine.open(queues, per_team)
        dbos = DBOS(config=config)

        @DBOS.workflow(name=WORKFLOW)
        def job(job_id: str) -> None:
            entry = str(DBOS.workflow_id)
            with self._lock:
                self._in_hand.add(entry)
            try:
                run(job_id)
            finally:
                with self._lock:
                    self._in_hand.discard(entry)

        DBOS.listen_queues(list(queues))
        DBOS.launch()
        _fit(dbos, free)

    def drop_strays(self) -> int:
        """Takes entries out that count as in our hands and are not; returns how many.

        One is left behind if the database goes away between DBOS's taking and our running it. Between the two lies a
        moment always: only what is astray at two looks is. Call it every few seconds.
        """
        taken = {entry for entry, _ in self._engine.taken(self._executor_id)}
        with self._lock:
            astray = taken - self._in_hand
        strays = sorted(astray & self._suspects)
        self._suspects = astray
        self._engine.drop(strays)
        return len(strays)

    def stop(self, seconds: int) -> None:
        """Takes no more, waits until what runs is done, at most so long, and lets go."""
        DBOS.destroy(workflow_completion_timeout_sec=seconds, destroy_registry=True)


def _fit(dbos: Any, free: Callable[[], int]) -> None:
    """Fits what DBOS has no setting for; a test says whether the pinned version still has these places.

    How many jobs a worker takes is a queue's property, the same for all workers: we have it follow each one's own
    devices, else a worker with one would keep jobs waiting that another with eight could do. After a failed connection
    it pauses for up to a minute and a half: we have it raise, and its loops come round again at their own pace.
    """
    system = dbos._sys_db
    ask = system.get_queue

    def get_queue(name: str, *args: Any, **options: Any) -> Any:
        queue = ask(name, *args, **options)
        if queue is not None:
            queue._worker_concurrency = dbos._active_workflows_set.count_for_queue(name) + free()
        return queue

    system.get_queue = get_queue
    system._retry_connection_errors = False

"""Worker: takes jobs and does them, one process a job, and looks after what has no other home: the dead, the due."""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import Any

import structlog

from alignment.errors import RequestError
from app.jobs import Chore, Engine, Handlers, Ledger
from app.jobs.dispatcher import Dispatcher
from app.jobs.ending import Limits
from app.jobs.executor import Executor, LocalExecutor
from app.jobs.handler import queues_of
from app.jobs.recovery import Recovery
from app.jobs.roster import BEAT_SECONDS, Roster
from app.jobs.supervisor import Supervisor
from app.settings import Settings
from app.storage import Database
from app.storage.database import is_outage

_LOG = structlog.get_logger("accord.worker")
_DISOWNED = "disowned"
_GIVE_BACK_SECONDS = 5  # beyond the grace, for what is given back to be written
_UNDO_SECONDS = 5.0  # for what should take a moment, and takes for ever while the database is away
_STRAY_SECONDS = 5.0
_KEEP_ENTRIES = 3600.0  # seconds that what is done stays in the queue's tables
_KEEP_WORKERS = 24 * 3600.0  # seconds that a worker that ended stays in ours


class Worker:
    """One worker process."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        handlers: Handlers,
        chores: Callable[[Ledger], Sequence[Chore]],
        executor: Executor | None = None,
    ) -> None:
        self._settings, self._database = settings, database
        self._executor = executor or LocalExecutor()
        self._ledger = Ledger(database, Engine(database), handlers)
        self._roster = Roster(self._ledger, settings.lease_seconds, settings.max_losses)
        self._devices = devices(settings.devices)
        self._cluster = ""
        self._supervisor = Supervisor(
            self._ledger,
            self._executor,
            self._roster.worker_id,
            self._devices,
            Limits(
                settings.job_seconds,
                settings.max_attempts,
                settings.retry_seconds,
                settings.outage_seconds,
                settings.threads,
            ),
            for_work(settings),
        )
        recovery = Recovery(self._ledger)
        self._chores = [
            Chore("reap", BEAT_SECONDS, self._roster.reap),
            Chore("retry", BEAT_SECONDS, recovery.retry_due),
            Chore(
                "release strays",
                _STRAY_SECONDS,
                lambda: self._supervisor.release_strays(recovery, settings.max_losses),
            ),
            Chore("forget workers", 3600, lambda: self._roster.forget(_KEEP_WORKERS)),
            Chore("drop spent entries", 3600, recovery.drop_spent),
            Chore("prune the queue", 60, lambda: self._ledger.engine.prune(_KEEP_ENTRIES)),
            *chores(self._ledger),
        ]
        # The one thing that a signal's handler may touch whatever it interrupted: an Event's lock may be held there.
        self._reasons: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._end = threading.Event()

    def run(self) -> None:
        """Works until it is told to stop by SIGTERM or Ctrl-C; then gives back what it cannot finish in time.

        Raises:
            WorkError: if the database cannot be used.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        self._executor.warm()
        self._database.wait(60)
        self._cluster = self._database.cluster_id()
        queues = queues_of(self._settings.queues, self._devices)
        self._roster.register(self._devices, queues)
        structlog.contextvars.bind_contextvars(worker=self._roster.worker_id)
        dispatcher = Dispatcher(
            self._ledger.engine,
            self._roster.worker_id,
            queues,
            per_team=self._settings.max_running,
            free=self._supervisor.free,
            run=self._supervisor.run,
        )
        threads = [threading.Thread(target=self._beat, name="beat", daemon=True)]
        for chore in (*self._chores, Chore("drop strays", _STRAY_SECONDS, dispatcher.drop_strays)):
            threads.append(threading.Thread(target=self._do, args=(chore,), name=chore.name, daemon=True))
        for thread in threads:
            thread.start()
        _LOG.info("worker ready", devices=self._devices, queues=queues)
        reason = self._reasons.get()
        if reason == _DISOWNED:
            self._begin_anew()
        _LOG.info("worker stops", reason=reason)
        self._hand_over(dispatcher)
        self._end.set()
        if not _within(_UNDO_SECONDS, self._leave) or _others_run():
            # The database is away, and what waits for it would keep this process. The others find what it leaves.
            _LOG.warning("worker stopped, what it had in hand left behind")
            sys.stdout.flush()
            os._exit(0)
        _LOG.info("worker stopped")

    def _hand_over(self, dispatcher: Dispatcher) -> None:
        """Finishes what it has in hand, or gives it back when the grace is over; it beats meanwhile."""
        grace = self._settings.grace_seconds
        self._supervisor.draining.set()
        giving_back = threading.Timer(grace, self._supervisor.stopping.set)
        giving_back.daemon = True
        giving_back.start()
        seconds = int(grace) + _GIVE_BACK_SECONDS
        _within(seconds + _UNDO_SECONDS, lambda: dispatcher.stop(seconds))
        giving_back.cancel()
        self._supervisor.leaving.set()
        self._supervisor.kill_all()

    def _leave(self) -> None:
        try:
            self._roster.leave()
        except Exception as error:
            if not is_outage(error):
                raise
        self._ledger.engine.close()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._reasons.put(signal.Signals(number).name)

    def _beat(self) -> None:
        while not self._end.wait(BEAT_SECONDS):
            try:
                if self._database.cluster_id() != self._cluster:
                    _LOG.error("the database is another than at the start; beginning anew")
                    self._disown()
                elif not self._roster.beat():
                    _LOG.warning("declared dead while frozen; beginning anew")
                    self._disown()
            except Exception as error:
                if not is_outage(error):
                    _LOG.exception("heartbeat failed")

    def _disown(self) -> None:
        """Ends all that others have taken over."""
        self._supervisor.kill_all()
        self._reasons.put(_DISOWNED)

    def _begin_anew(self) -> None:
        """Becomes a new worker with a new id: this one's is used up."""
        self._supervisor.kill_all()
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - ourselves

    def _do(self, chore: Chore) -> None:
        while not self._end.wait(chore.seconds):
            try:
                chore.run()
            except Exception as error:
                if is_outage(error):
                    _LOG.warning("the database is away", chore=chore.name)
                else:
                    _LOG.exception("chore failed", chore=chore.name)


def _within(seconds: float, step: Callable[[], object]) -> bool:
    """Does something in so many seconds, or leaves it be; returns whether it is done."""
    thread = threading.Thread(target=step, daemon=True)
    thread.start()
    thread.join(seconds)
    return not thread.is_alive()


def _others_run() -> bool:
    """Whether a thread runs that the interpreter would wait for; one that is about to end gets a moment."""
    others = [thread for thread in threading.enumerate() if not thread.daemon and thread is not threading.main_thread()]
    for thread in others:
        thread.join(1)
    return any(thread.is_alive() for thread in others)


def devices(asked: Sequence[str]) -> list[str]:
    """Returns the devices that a worker has: those asked for; for `auto` every GPU, or else the CPU.

    Raises:
        RequestError: if they are of two kinds: what asks for a GPU goes to workers of GPUs alone.
    """
    if list(asked) != ["auto"]:
        if len({device.partition(":")[0] for device in asked}) > 1:
            raise RequestError(
                f"ACCORD_DEVICES is {','.join(asked)}: a worker's devices are all GPUs or all the CPU; start a worker "
                "for each"
            )
        return list(asked)
    # Asked in a process of its own: this one must not open the driver, and need not load torch.
    import subprocess

    code = "import torch; print(torch.cuda.device_count())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603
    count = int(found.stdout.strip() or 0) if found.returncode == 0 else 0
    return [f"cuda:{number}" for number in range(count)] or ["cpu"]


def for_work(settings: Settings) -> Mapping[str, Any]:
    """Returns the settings that a job's work may know: no secret is among them."""
    return {
        "data_dir": str(settings.data_dir.absolute()),
        "cache_dir": str(settings.cache_dir.absolute()),
        "budget_mib": settings.budget_mib,
        "hub_endpoint": settings.hub_endpoint,
        "datasets_mib": settings.datasets_mib,
    }

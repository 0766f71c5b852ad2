"""Supervisor: sees one job through in its worker: claims it, starts its process, keeps its progress, has it ended."""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import structlog

from app.jobs.claim import Claim
from app.jobs.ending import Ending, Limits
from app.jobs.executor import Executor, NotBegunError, Order, Run
from app.jobs.ledger import Ledger
from app.jobs.patience import LeftBehindError, Patience
from app.jobs.progress import with_eta
from app.jobs.recovery import Recovery
from app.storage.database import is_outage

_LOG = structlog.get_logger("accord.jobs")
_LOOK = 0.1  # seconds between two looks at the process
_REPORT = 0.5  # seconds between two looks at the row, whether it is still ours
_DEVICE_SECONDS = 1.0  # how long what was taken for a device that another job then got waits for the next one


class Supervisor:
    """Runs jobs, one a device at a time.

    Attributes:
        draining: set when the worker is to begin nothing more.
        stopping: set when it is to give back what it has in hand, too.
        leaving: set when it is to leave behind even what it cannot give back; others find it.
    """

    def __init__(
        self,
        ledger: Ledger,
        executor: Executor,
        worker_id: str,
        devices: list[str],
        limits: Limits,
        settings: Mapping[str, Any],
    ) -> None:
        self._ledger, self._executor, self._worker_id = ledger, executor, worker_id
        self._limits, self._settings = limits, settings
        self._devices: queue.SimpleQueue[str] = queue.SimpleQueue()
        for device in devices:
            self._devices.put(device)
        self._lock = threading.Lock()
        self._runs: set[Run] = set()
        self._in_hand: Counter[str] = Counter()
        self._suspects: set[str] = set()
        self.draining, self.stopping, self.leaving = threading.Event(), threading.Event(), threading.Event()
        self._patiently = Patience(self.leaving)
        self._ending = Ending(ledger, limits, self._patiently, self.draining)

    def run(self, job_id: str) -> None:
        """Does a job, if it still wants doing; every error that is the job's own ends in its row."""
        try:
            device = self._device()
            if device is None:
                # The entry in the queue is used up: whoever takes the job next needs a new one.
                self._patiently(lambda: self._ledger.requeue(job_id))
                return
            try:
                with self._hold(job_id):
                    claim = self._patiently(lambda: self._ledger.claim(job_id, self._worker_id))
                    if claim is not None:
                        facts = {"job": job_id, "fence": claim.fence, "kind": claim.row["kind"]}
                        with structlog.contextvars.bound_contextvars(**facts):
                            self._see_through(claim, device)
            finally:
                self._devices.put(device)
        except LeftBehindError:
            _LOG.warning("left behind", job=job_id)

    def free(self) -> int:
        """Returns how many more jobs may run here now."""
        return 0 if self.draining.is_set() else self._devices.qsize()

    def kill_all(self) -> None:
        """Ends every process at once."""
        with self._lock:
            runs = list(self._runs)
        for run in runs:
            run.kill()

    def release_strays(self, recovery: Recovery, most_losses: int) -> int:
        """Gives up jobs that count as in our hands and are not; returns how many.

        One is left behind if the database goes away after it took our claim and before it said so, or if even a job's
        end as failed cannot be written. Between a claim and our knowing of it lies a moment always: only what is astray
        at two looks is. Call it every few seconds.
        """
        running = recovery.running(self._worker_id)
        with self._lock:
            astray = running - set(self._in_hand)
        strays = astray & self._suspects
        self._suspects = astray
        return recovery.reclaim(self._worker_id, strays, most_losses)

    @contextmanager
    def _hold(self, job_id: str) -> Iterator[None]:
        """Notes that a job is in hand; it may be so twice, for it may be in the queue twice."""
        with self._lock:
            self._in_hand[job_id] += 1
        try:
            yield
        finally:
            with self._lock:
                self._in_hand[job_id] -= 1
                self._in_hand += Counter()  # lets go of zeros

    def _device(self) -> str | None:
        """Returns a device that nobody uses; None if there is none soon, or the worker is to begin nothing more."""
        deadline = time.monotonic() + _DEVICE_SECONDS
        while not self.draining.is_set() and time.monotonic() < deadline:
            try:
                return self._devices.get(timeout=_LOOK)
            except queue.Empty:
                continue
        return None

    def _see_through(self, claim: Claim, device: str) -> None:
        started = time.monotonic()
        _LOG.info("job started", device=device, attempt=claim.row["attempts"])
        run: Run | None = None
        end = "left behind"
        try:
            work = self._ledger.handlers[claim.row["kind"]].work
            order = Order(work, claim.row["payload"], device, self._settings, self._limits.threads)
            run = self._begun(order)
            with self._lock:
                self._runs.add(run)
            end = self._watch(claim, run, started)
        except LeftBehindError:
            raise
        except NotBegunError as error:
            _LOG.warning("no process to be had", error=repr(error.__cause__))
            end = self._ending.not_begun(claim, error)
        except Exception as error:  # a defect of ours: the job must not stay as it is
            _LOG.exception("job broke off")
            end = self._ending.broke_off(claim, error)
        finally:
            if run is not None:
                with self._lock:
                    self._runs.discard(run)
                run.kill()
            _LOG.info("job ended", outcome=end, seconds=round(time.monotonic() - started, 3))

    def _begun(self, order: Order) -> Run:
        try:
            return self._executor.start(order)
        except Exception as error:
            raise NotBegunError from error

    def _watch(self, claim: Claim, run: Run, started: float) -> str:
        """Returns how it ended: the row says so already, or is no longer ours."""
        seen: Mapping[str, Any] | None = None
        kept, looked = None, started
        began: dict[str, float] = {}
        while True:
            try:
                message = run.poll(_LOOK)
            except EOFError:
                fate = run.fate
                run.kill()  # what it started goes with it, before anything is waited for
                return self._ending.died(claim, fate, seen)
            now = time.monotonic()
            if message is not None and "progress" in message:
                seen = with_eta(message["progress"], began)
            # Whatever is to be said below, the process is gone first: the database may be long in coming back, and then
            # the device would stay taken, and the process's number become another's.
            elif message is not None:
                run.kill()
                return self._ending.said(claim, message, now - started)
            if now - started > self._limits.seconds:
                run.kill()
                return self._ending.timed_out(claim, seen)
            if self.stopping.is_set():
                run.kill()
                return self._ending.given_back(claim)
            if now - looked >= _REPORT:
                looked = now
                held = self._still_held(claim, None if seen == kept else seen)
                if held is False:
                    return "taken away"
                kept = kept if held is None else seen

    def _still_held(self, claim: Claim, news: Mapping[str, Any] | None) -> bool | None:
        """Keeps what is new of a job's progress; returns whether it is still ours, None if the database is away."""
        try:
            return self._ledger.is_held(claim) if news is None else self._ledger.report(claim, news)
        except Exception as error:
            if not is_outage(error):
                raise
            return None  # the work goes on; its progress is told when the database is back

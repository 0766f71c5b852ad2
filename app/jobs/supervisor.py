"""Supervisor: sees one job through in its worker: claims it, starts its process, keeps its progress, ends it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog

from app.jobs.child import OUTAGE, PASSING
from app.jobs.claim import Claim
from app.jobs.executor import Executor, Order, Run
from app.jobs.handler import Part
from app.jobs.ledger import Ledger
from app.jobs.progress import stage_of, with_eta
from app.storage.database import is_outage

T = TypeVar("T")
_LOG = structlog.get_logger("accord.jobs")
_LOOK = 0.1  # seconds between two looks at the process
_REPORT = 0.5  # seconds between two looks at the row, whether it is still ours
_OUTAGE_PAUSE = 5.0  # seconds before what waits for the hub or the disk is tried again
_STUCK_PAUSE = 60.0
_DATABASE_PAUSE = 0.5
_DEVICE_SECONDS = 1.0  # how long what was taken for a device that another job then got waits for the next one


class _LeftBehindError(Exception):
    """The worker ends and cannot say so: the database is away."""


@dataclass(frozen=True)
class Limits:
    """What a job may take; seconds, and how often."""

    seconds: float
    attempts: int
    retry_seconds: float
    outage_seconds: float
    threads: int = 0


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
        self.draining, self.stopping, self.leaving = threading.Event(), threading.Event(), threading.Event()

    def run(self, job_id: str) -> None:
        """Does a job, if it still wants doing; every error that is the job's own ends in its row."""
        try:
            device = self._device()
            if device is None:
                # The entry in the queue is used up: whoever takes the job next needs a new one.
                self._patiently(lambda: self._ledger.requeue(job_id))
                return
            try:
                claim = self._patiently(lambda: self._ledger.claim(job_id, self._worker_id))
                if claim is not None:
                    with structlog.contextvars.bound_contextvars(job=job_id, fence=claim.fence, kind=claim.row["kind"]):
                        self._see_through(claim, device)
            finally:
                self._devices.put(device)
        except _LeftBehindError:
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
            run = self._executor.start(order)
            with self._lock:
                self._runs.add(run)
            end = self._watch(claim, run, started)
        except _LeftBehindError:
            raise
        except Exception as error:  # no process to be had, or a defect of ours: the job must not stay as it is
            _LOG.exception("job broke off")
            end = self._broke_off(claim, error)
        finally:
            if run is not None:
                with self._lock:
                    self._runs.discard(run)
                run.kill()
            _LOG.info("job ended", outcome=end, seconds=round(time.monotonic() - started, 3))

    def _watch(self, claim: Claim, run: Run, started: float) -> str:
        """Returns how it ended: the row says so already, or is no longer ours."""
        seen: Mapping[str, Any] | None = None
        kept, looked = None, started
        began: dict[str, float] = {}
        while True:
            try:
                message = run.poll(_LOOK)
            except EOFError:
                return self._died(claim, run, seen)
            now = time.monotonic()
            if message is not None and "progress" in message:
                seen = with_eta(message["progress"], began)
            # Whatever is to be said below, the process is gone first: the database may be long in coming back, and then
            # the device would stay taken, and the process's number become another's.
            elif message is not None:
                run.kill()
                return self._end(claim, message, now - started)
            if now - started > self._limits.seconds:
                run.kill()
                return self._timed_out(claim, seen)
            if self.stopping.is_set():
                run.kill()
                self._patiently(lambda: self._ledger.give_back(claim))
                return "given back"
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

    def _end(self, claim: Claim, message: Mapping[str, Any], seconds: float) -> str:
        if "done" in message:
            return "succeeded" if self._patiently(lambda: self._ledger.publish(claim, message["done"])) else "fenced"
        if "needs" in message:
            parts = [Part(**part) for part in message["needs"]]
            self._patiently(lambda: self._ledger.park(claim, parts))
            return "waiting"
        if "trace" in message:
            _LOG.warning("job failed", trace=message["trace"])
        error = dict(message["error"])
        kind = error.pop("kind")
        if kind == OUTAGE and seconds >= self._limits.outage_seconds:
            kind = PASSING  # it went well for long, so that this outage is another than the last; it costs an attempt
        return self._failed(claim, kind, error)

    def _timed_out(self, claim: Claim, seen: Mapping[str, Any] | None) -> str:
        detail = f"it took longer than {self._limits.seconds:g} s; take fewer samples, layers, metrics or steps"
        error = {"stage": stage_of(seen), "model": None, "detail": detail}
        self._patiently(lambda: self._ledger.fail(claim, error))
        return "timed out"

    def _died(self, claim: Claim, run: Run, seen: Mapping[str, Any] | None) -> str:
        fate = run.fate
        run.kill()  # what it started goes with it, before anything is waited for
        _LOG.warning("process died", fate=fate)
        detail = (
            f"the process that worked on it died ({fate}), perhaps of too little memory; take fewer samples or layers"
        )
        return self._failed(claim, PASSING, {"stage": stage_of(seen), "model": None, "detail": detail})

    def _broke_off(self, claim: Claim, error: Exception) -> str:
        detail = f"the server made a mistake ({type(error).__name__}); its log says more"
        told = {"stage": None, "model": None, "detail": detail}
        try:
            return self._failed(claim, PASSING, told)
        except _LeftBehindError:
            raise
        except Exception:  # what a job's end changes cannot be changed: it waits for someone who reads logs
            _LOG.exception("job cannot end")
            self._patiently(lambda: self._ledger.retry(claim, told, _STUCK_PAUSE, outage=False))
            return f"to be tried again in {_STUCK_PAUSE:g} s"

    def _failed(self, claim: Claim, kind: str, error: dict[str, Any]) -> str:
        attempts = claim.row["attempts"]
        if kind == OUTAGE and claim.outage_seconds < self._limits.outage_seconds:
            later = _OUTAGE_PAUSE
        elif kind == PASSING and attempts < self._limits.attempts:
            later = self._limits.retry_seconds * 2 ** (attempts - 1)
        else:
            self._patiently(lambda: self._ledger.fail(claim, error))
            return "failed"
        self._patiently(lambda: self._ledger.retry(claim, error, later, outage=kind == OUTAGE))
        return f"to be tried again in {later:g} s"

    def _patiently(self, step: Callable[[], T]) -> T:
        """Returns what a step returns, tried again for as long as the database is away.

        Raises:
            _LeftBehindError: if the worker will not wait any more.
        """
        while True:
            try:
                return step()
            except Exception as error:
                if not is_outage(error):
                    raise
                _LOG.warning("the database is away", error=type(error).__name__)
            if self.leaving.wait(_DATABASE_PAUSE):
                raise _LeftBehindError

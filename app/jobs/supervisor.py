"""Supervisor: sees one job through in its worker: claims it, starts its process, keeps its progress, ends it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog

from app.jobs.child import FINAL, OUTAGE
from app.jobs.executor import Executor, Order, Run
from app.jobs.handler import Part
from app.jobs.ledger import Claim, Ledger
from app.storage.database import is_outage

T = TypeVar("T")
_LOG = structlog.get_logger("accord.jobs")
_LOOK = 0.1  # seconds between two looks at the process
_REPORT = 0.5  # seconds between two looks at the row, whether it is still ours
_OUTAGE_PAUSE = 5.0  # seconds before what waits for the hub or the disk is tried again
_DATABASE_PAUSE = 0.5


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
        self.draining, self.stopping = threading.Event(), threading.Event()

    def run(self, job_id: str) -> None:
        """Does a job, if it still wants doing; every error that is the job's own ends in its row."""
        device = self._device()
        if device is None:
            # The entry in the queue is used up: whoever takes it next needs a new one.
            self._patiently(lambda: self._requeue(job_id))
            return
        try:
            claim = self._patiently(lambda: self._ledger.claim(job_id, self._worker_id))
            if claim is not None:
                with structlog.contextvars.bound_contextvars(job=job_id, fence=claim.fence, kind=claim.row["kind"]):
                    self._see_through(claim, device)
        finally:
            self._devices.put(device)

    def kill_all(self) -> None:
        """Ends every process at once."""
        with self._lock:
            for run in self._runs:
                run.kill()

    def _device(self) -> str | None:
        """Returns a device that nobody uses, having waited for it; None if the worker stops first."""
        while not self.draining.is_set():
            try:
                return self._devices.get(timeout=_LOOK)
            except queue.Empty:
                continue
        return None

    def _requeue(self, job_id: str) -> None:
        claim = self._ledger.claim(job_id, self._worker_id)
        if claim is not None:
            self._ledger.give_back(claim)

    def _see_through(self, claim: Claim, device: str) -> None:
        started = time.monotonic()
        _LOG.info("job started", device=device, attempt=claim.row["attempts"])
        order = Order(
            self._ledger.handlers[claim.row["kind"]].work,
            claim.row["payload"],
            device,
            self._settings,
            self._limits.threads,
        )
        run = self._executor.start(order)
        with self._lock:
            self._runs.add(run)
        try:
            end = self._watch(claim, run, started + self._limits.seconds)
        finally:
            with self._lock:
                self._runs.discard(run)
            run.kill()
        _LOG.info("job ended", outcome=end, seconds=round(time.monotonic() - started, 3))

    def _watch(self, claim: Claim, run: Run, deadline: float) -> str:
        """Returns how it ended: the row says so already, or is no longer ours."""
        seen: Mapping[str, Any] | None = None
        kept, looked = None, time.monotonic()
        began: dict[str, float] = {}
        while True:
            try:
                message = run.poll(_LOOK)
            except EOFError:
                return self._died(claim, run)
            if message is not None and "progress" in message:
                seen = _with_eta(message["progress"], began)
            elif message is not None:
                return self._end(claim, message)
            now = time.monotonic()
            if now - looked >= _REPORT:
                looked = now
                try:
                    held = self._ledger.report(claim, seen) if seen and seen != kept else self._ledger.is_held(claim)
                except Exception as error:
                    if not is_outage(error):
                        raise
                    continue  # the work goes on; its progress is told when the database is back
                kept = seen
                if not held:
                    return "taken away"
            if now > deadline:
                return self._timed_out(claim, seen)
            if self.stopping.is_set():
                self._patiently(lambda: self._ledger.give_back(claim))
                return "given back"

    def _end(self, claim: Claim, message: Mapping[str, Any]) -> str:
        if "done" in message:
            return "succeeded" if self._patiently(lambda: self._ledger.publish(claim, message["done"])) else "fenced"
        if "needs" in message:
            parts = [Part(**part) for part in message["needs"]]
            self._patiently(lambda: self._ledger.park(claim, parts))
            return "waiting"
        if "trace" in message:
            _LOG.warning("job failed", trace=message["trace"])
        error = dict(message["error"])
        return self._failed(claim, error.pop("kind"), error)

    def _timed_out(self, claim: Claim, seen: Mapping[str, Any] | None) -> str:
        detail = f"it took longer than {self._limits.seconds:g} s; take fewer samples, layers or metrics"
        error = {"stage": None if seen is None else seen["stage"], "model": None, "detail": detail}
        self._patiently(lambda: self._ledger.fail(claim, error))
        return "timed out"

    def _died(self, claim: Claim, run: Run) -> str:
        fate = run.fate
        _LOG.warning("process died", fate=fate)
        detail = (
            f"the process that worked on it died ({fate}), perhaps of too little memory; take fewer samples or layers"
        )
        return self._failed(claim, "passing", {"stage": None, "model": None, "detail": detail})

    def _failed(self, claim: Claim, kind: str, error: dict[str, Any]) -> str:
        attempts, since = claim.row["attempts"], claim.row["failing_since"]
        waited = 0.0 if since is None else max(0.0, time.time() - since)
        if kind == OUTAGE and waited < self._limits.outage_seconds:
            later = _OUTAGE_PAUSE
        elif kind not in (FINAL, OUTAGE) and attempts < self._limits.attempts:
            later = self._limits.retry_seconds * 2 ** (attempts - 1)
        else:
            self._patiently(lambda: self._ledger.fail(claim, error))
            return "failed"
        self._patiently(lambda: self._ledger.retry(claim, error, later, outage=kind == OUTAGE))
        return f"to be tried again in {later:g} s"

    def _patiently(self, step: Callable[[], T]) -> T:
        """Returns what a step returns, tried again for as long as the database is away."""
        while True:
            try:
                return step()
            except Exception as error:
                if not is_outage(error):
                    raise
                _LOG.warning("the database is away", error=type(error).__name__)
                time.sleep(_DATABASE_PAUSE)


def _with_eta(progress: Mapping[str, Any], began: dict[str, float]) -> dict[str, Any]:
    """Returns progress with the seconds that its stage will take at the pace it has had; None before there is one."""
    start = began.setdefault(progress["stage"], time.monotonic())
    done, total = progress["done"], progress["total"]
    eta = (time.monotonic() - start) * (total - done) / done if done else None
    return {**progress, "eta_seconds": None if eta is None else round(eta, 1)}

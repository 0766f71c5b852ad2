"""Ending: from how the work on a job came out to what its row says; each method returns that in words, for the log."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from app.jobs.child import FINAL, OUTAGE, PASSING
from app.jobs.claim import Claim
from app.jobs.handler import Part
from app.jobs.ledger import Ledger
from app.jobs.patience import LeftBehindError, Patience
from app.jobs.progress import stage_of

_LOG = structlog.get_logger("accord.jobs")
_OUTAGE_PAUSE = 5.0  # seconds before what waits for the hub or the disk is tried again
_STUCK_PAUSE = 60.0  # seconds before what could not be settled is tried again; after the last attempt ever double
STUCK_TRIES = 5  # of those, after which a job ends without what cannot be settled
_TOLD_SECONDS = 1.0  # who tells a worker's processes to stop, one and all, tells the worker in the same moment


@dataclass(frozen=True)
class Limits:
    """What a job may take; seconds, and how often."""

    seconds: float
    attempts: int
    retry_seconds: float
    outage_seconds: float
    threads: int = 0


class Ending:
    """Ends jobs, puts them back for later, or gives them back."""

    def __init__(self, ledger: Ledger, limits: Limits, patiently: Patience, draining: threading.Event) -> None:
        self._ledger, self._limits, self._patiently, self._draining = ledger, limits, patiently, draining

    def said(self, claim: Claim, message: Mapping[str, Any], seconds: float) -> str:
        """Ends a job as its process said, after so many seconds of work."""
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

    def timed_out(self, claim: Claim, seen: Mapping[str, Any] | None) -> str:
        """Ends a job that takes too long."""
        detail = f"it took longer than {self._limits.seconds:g} s; take fewer samples, layers, metrics or steps"
        self._failed(claim, FINAL, {"stage": stage_of(seen), "model": None, "detail": detail})
        return "timed out"

    def given_back(self, claim: Claim) -> str:
        """Puts a job back into the queue as if it had not been taken."""
        self._patiently(lambda: self._ledger.give_back(claim))
        return "given back"

    def died(self, claim: Claim, fate: str, seen: Mapping[str, Any] | None) -> str:
        """Ends a job whose process said nothing more, or gives it back if the worker is told to stop as well."""
        _LOG.warning("process died", fate=fate)
        if self._draining.wait(_TOLD_SECONDS):
            return self.given_back(claim)
        detail = (
            f"the process that worked on it died ({fate}), perhaps of too little memory; take fewer samples or layers"
        )
        return self._failed(claim, PASSING, {"stage": stage_of(seen), "model": None, "detail": detail})

    def not_begun(self, claim: Claim, error: Exception) -> str:
        """Ends a job that no process was to be had for, or gives it back, as `died`: what forks it is told, too."""
        if self._draining.wait(_TOLD_SECONDS):
            return self.given_back(claim)
        return self.broke_off(claim, error)

    def broke_off(self, claim: Claim, error: Exception) -> str:
        """Ends a job that a defect of ours broke off."""
        detail = f"the server made a mistake ({type(error).__name__}); its log says more"
        return self._failed(claim, PASSING, {"stage": None, "model": None, "detail": detail})

    def _failed(self, claim: Claim, kind: str, error: dict[str, Any]) -> str:
        """Does the first of what may become of a job that can be done: what its end changes may not be possible."""
        *others, last = self._ways(claim, kind, error)
        for way in others:
            try:
                return self._patiently(way)
            except LeftBehindError:
                raise
            except Exception:
                _LOG.exception("job cannot end")
        return self._patiently(last)

    def _ways(self, claim: Claim, kind: str, error: dict[str, Any]) -> Iterator[Callable[[], str]]:
        attempts, most = claim.row["attempts"], self._limits.attempts

        def fail(regardless: bool = False) -> str:
            self._ledger.fail(claim, error, regardless=regardless)
            return "failed, and not settled" if regardless else "failed"

        def later(seconds: float, outage: bool = False) -> str:
            self._ledger.retry(claim, error, seconds, outage=outage)
            return f"to be tried again in {seconds:g} s"

        if kind == OUTAGE and claim.outage_seconds < self._limits.outage_seconds:
            yield lambda: later(_OUTAGE_PAUSE, outage=True)
        elif kind == PASSING and attempts < most:
            yield lambda: later(self._limits.retry_seconds * 2 ** (attempts - 1))
        else:
            yield fail
        if attempts < most + STUCK_TRIES:
            yield lambda: later(_STUCK_PAUSE * 2 ** max(0, attempts - most))
        yield lambda: fail(regardless=True)

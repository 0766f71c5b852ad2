"""Stack: worker processes beside an API on one machine. One that dies is started anew; none outlives the parent."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from types import TracebackType
from typing import Self

import structlog

_LOG = structlog.get_logger("accord.stack")
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
_LOOK = 0.5  # seconds between two looks at the processes
_CALM = 10.0  # seconds that one must have lived not to be waited for before it is started anew


class Workers:
    """So many `accord worker` processes, as long as the context lasts."""

    def __init__(self, count: int, grace_seconds: float) -> None:
        self._count, self._grace = count, grace_seconds
        self._running: list[tuple[subprocess.Popen[bytes], float]] = []
        self._end = threading.Event()
        self._watch = threading.Thread(target=self._keep, name="workers", daemon=True)

    def __enter__(self) -> Self:
        self._running = [(_start(), time.monotonic()) for _ in range(self._count)]
        self._watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._watch.join()
        for process, _ in self._running:
            process.terminate()  # each gives back what it cannot finish in its grace
        for process, _ in self._running:
            try:
                process.wait(self._grace + 15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _keep(self) -> None:
        while not self._end.wait(_LOOK):
            for place, (process, since) in enumerate(self._running):
                if process.poll() is None:
                    continue
                _LOG.warning("a worker ended; starting another", status=process.returncode)
                if time.monotonic() - since < _CALM and self._end.wait(_CALM / 2):
                    return
                self._running[place] = (_start(), time.monotonic())


def _start() -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "app.cli", "worker", "--tied", str(os.getpid())]
    return subprocess.Popen(command)  # noqa: S603 - ourselves


def stop_with_parent(parent: int) -> None:
    """Makes this process get SIGTERM when the one that started it ends, however it does.

    Args:
        parent: that one's id, by which this one knows whether it is gone already. In a container it may well be 1.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_DEATH_SIGNAL, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(0)

"""Executor: where a job's work runs. The local one forks a process a job from one that has the libraries loaded."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

from app.jobs import child

_KILL_SECONDS = 10.0  # what a driver holds on to may take as long to die
_LOOK = 0.005  # seconds between two looks at what was killed
# What a child would else import by itself: what work needs, and what the program's main module imports, which Python
# has each child run anew (a tenth of a second of computing for each job).
PRELOAD = (
    "app.jobs.child",
    "app.worker",
    "app.cli.main",
    "alignment.comparison",
    "alignment.study",
    "scipy.cluster.hierarchy",
    "scipy.stats",
    "transformers.modeling_utils",  # two seconds of each job that runs a model
)


class NotBegunError(Exception):
    """Work that no process was to be had for; its cause says why."""


@dataclass(frozen=True)
class Order:
    """What a child is to do.

    Attributes:
        work: `module:function`.
        payload: what the function needs, plain JSON.
        device: the device that is its own.
        settings: what it may know of the settings, plain JSON.
        threads: CPU threads; 0 leaves it to torch.
        memory: bytes that it may take; 0 sets no limit.
    """

    work: str
    payload: Mapping[str, Any]
    device: str
    settings: Mapping[str, Any]
    threads: int = 0
    memory: int = 0


class Run(Protocol):
    """Work under way."""

    def poll(self, seconds: float) -> Mapping[str, Any] | None:
        """Returns the next message, or None if there is none within `seconds`.

        Raises:
            EOFError: if there will be none: the process has ended.
            NotBegunError: if there was none to be had.
        """

    def kill(self) -> None:
        """Ends it at once, with all that it started; returns when it is gone, or will be as soon as it is there."""

    @property
    def fate(self) -> str:
        """How a process ended that said nothing: `signal 9`, `status 1`."""


class Executor(Protocol):
    """Starts work."""

    def start(self, order: Order) -> Run:
        """Returns work that has been started."""

    def warm(self) -> None:
        """Makes ready, so that the first job need not wait."""


class LocalExecutor:
    """Runs each job in a process of its own on this machine."""

    def __init__(self, preload: Sequence[str] = PRELOAD) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(preload))

    def start(self, order: Order) -> Run:
        """Returns work that has been started, at once: the process that it is forked from may be loading yet."""
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=child.main, args=(theirs,), daemon=True)
        return _LocalRun(process, ours, theirs, json.dumps(vars(order), default=str).encode())

    def warm(self) -> None:
        """Starts the process that the others are forked from; it loads the libraries meanwhile."""
        from multiprocessing import forkserver

        forkserver.ensure_running()


class _LocalRun:
    def __init__(
        self, process: multiprocessing.process.BaseProcess, ours: Connection, theirs: Connection, order: bytes
    ) -> None:
        self._process, self._pipe = process, ours
        self._begun = threading.Event()
        self._unwanted = self._killed = False
        self._failure: Exception | None = None
        self._lock = threading.Lock()  # a process is asked how it ended by one thread at a time
        threading.Thread(target=self._begin, args=(theirs, order), name="begin", daemon=True).start()

    def _begin(self, theirs: Connection, order: bytes) -> None:
        try:
            self._process.start()
        except Exception as error:  # whoever polls is told
            self._failure = error
        theirs.close()
        with self._lock:
            self._begun.set()
            if self._unwanted:  # it has no order yet, and so has not worked
                self._end()
            elif self._failure is None:
                with contextlib.suppress(OSError):  # it has ended already, as `poll` will say
                    self._pipe.send_bytes(order)

    def poll(self, seconds: float) -> Mapping[str, Any] | None:
        if not self._begun.wait(seconds):
            return None
        if self._failure is not None:
            raise NotBegunError from self._failure
        try:
            if not self._pipe.poll(seconds):
                return None
            message: Mapping[str, Any] = json.loads(self._pipe.recv_bytes())
        except OSError as error:  # torn off, or closed by `kill`
            raise EOFError from error
        return message

    def kill(self) -> None:
        with self._lock:
            self._unwanted = True
            if self._begun.is_set():
                self._end()

    def _end(self) -> None:
        pid = None if self._killed else self._process.pid
        if pid is not None:
            self._killed = True  # a second time its number might be another's
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)  # what it started, too; even if it has ended itself
            if self._process.exitcode is None:  # it may not lead a group yet; once ended its number may be another's
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._process.join(_KILL_SECONDS)
            _wait_for_group(pid, _KILL_SECONDS)
        self._pipe.close()

    @property
    def fate(self) -> str:
        with self._lock:
            self._process.join(_KILL_SECONDS)
            code = self._process.exitcode
        return f"signal {-code}" if code is not None and code < 0 else f"status {code}"


def _wait_for_group(leader: int, seconds: float) -> None:
    """Waits until nothing of a group that was killed runs any more, at most so long: what it held is free then.

    What has ended and nobody waited for counts as a member still, and holds nothing.
    """
    deadline = time.monotonic() + seconds
    with contextlib.suppress(ProcessLookupError, PermissionError):
        while time.monotonic() < deadline:
            os.kill(-leader, 0)  # raises once no member is left
            if not any(_runs_in(entry, leader) for entry in Path("/proc").glob("[0-9]*")):
                return
            time.sleep(_LOOK)


def _runs_in(entry: Path, group: int) -> bool:
    try:
        state, _, of_group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
    except (OSError, ValueError):  # it has gone
        return False
    return int(of_group) == group and state not in "ZX"

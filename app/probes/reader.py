"""Reader: has probe sets read by processes of their own, so that no upload takes the API's memory or its time."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any, cast

from anyio import CapacityLimiter, Lock, to_thread
from fastapi import Depends, Request

from alignment.errors import ProbeError
from app.jobs.child import FINAL
from app.jobs.executor import Executor, Order, Run
from app.probes.reading import Facts, is_hub
from app.problems import Problem
from app.settings import Settings

# What each process would else import by itself.
PRELOAD: Sequence[str] = ("app.jobs.child", "app.cli.main", "app.probes.reading", "pyarrow.parquet")
_WORK = "app.probes.reading:look"
_MOST = 2  # sets that are read at once; as many again that are downloaded first, so that no upload waits for a hub
_SECONDS = 600.0  # that reading one may take
_LOOK = 0.2  # seconds between two looks at whether the server ends
_MIB = 1 << 20


class ReadingDefectError(Exception):
    """What read a probe set made a mistake; the text is its trace, for the log alone."""


class Reader:
    """Reads probe sets: some at once, of a team one after the other, each with so much memory and time."""

    def __init__(self, settings: Settings, executor: Executor) -> None:
        self._settings, self._executor = settings, executor
        self._here, self._far = CapacityLimiter(_MOST), CapacityLimiter(_MOST)
        self._teams: dict[str, Lock] = {}
        self._closed = False

    async def look(self, team: str, reference: str, name: str, columns: Mapping[str, str]) -> Facts:
        """Returns what the probe set of a reference is; its preview is kept then.

        Args:
            team: who asks: its sets are read in turn, so that the next team's need not wait for all of them.
            reference: what `alignment` calls it; of a file its path, which is not in any error.
            name: what errors call it.
            columns: what it calls its columns, where that is not their own name.

        Raises:
            ProbeError: if it cannot be read, or takes too much memory or time.
            Problem: 503 if the server is at fault, or ends.
        """
        payload = {"reference": reference, "name": name, "columns": dict(columns)}
        return Facts(**await self.ask(team, _WORK, payload, far=is_hub(reference)))

    async def ask(
        self, team: str, work: str, payload: Mapping[str, Any], *, far: bool = False, beside: int = 0
    ) -> Mapping[str, Any]:
        """Returns what work found that reads a probe set, plain JSON: in the team's turn, within the same bounds.

        Args:
            team: who asks.
            work: `module:function`.
            payload: what it needs, plain JSON; `name` is what errors call the set.
            far: whether it downloads first.
            beside: MiB that its libraries take, beside those that reading may.

        Raises:
            ProbeError: if it cannot be read, or takes too much memory or time.
            Problem: 503 if the server is at fault, or ends.
        """
        async with self._turn(team):
            limiter = self._far if far else self._here
            return await to_thread.run_sync(self.read, work, payload, beside, limiter=limiter)

    def read(self, work: str, payload: Mapping[str, Any], beside: int = 0) -> Mapping[str, Any]:
        """Returns the same at once, in nobody's turn, and has the thread that calls it wait."""
        settings = {
            "data_dir": str(self._settings.data_dir.absolute()),
            "cache_dir": str(self._settings.cache_dir.absolute()),
            "hub_endpoint": self._settings.hub_endpoint,
            "reading_mib": self._settings.max_reading_mib,
            "upload_mib": self._settings.max_upload_mib,
            "datasets_mib": self._settings.datasets_mib,
        }
        memory = (self._settings.max_reading_mib + beside) * _MIB
        run = self._executor.start(Order(work, payload, "cpu", settings, memory=memory))
        try:
            return self._found(run, str(payload["name"]))
        finally:
            run.kill()

    def close(self) -> None:
        """Ends what is being read."""
        self._closed = True

    @asynccontextmanager
    async def _turn(self, team: str) -> AsyncIterator[None]:
        turn = self._teams.setdefault(team, Lock())
        try:
            async with turn:
                yield
        finally:
            if not turn.locked() and not turn.statistics().tasks_waiting:
                self._teams.pop(team, None)

    def _found(self, run: Run, name: str) -> Mapping[str, Any]:
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            if self._closed:
                raise Problem(503, "the server ends; send this again in some seconds", headers={"Retry-After": "5"})
            try:
                message = run.poll(_LOOK)
            except EOFError:
                raise Problem(
                    503,
                    f"the process that read {name!r} died ({run.fate}), perhaps of too little memory; send fewer or "
                    "smaller items, or try again",
                    headers={"Retry-After": "60"},
                ) from None
            if message is not None and "done" in message:
                found: Mapping[str, Any] = message["done"]
                return found
            if message is not None and "error" in message:
                raise _error(message, name)
        raise ProbeError(f"{name!r} takes longer than {_SECONDS:g} s to be read; send fewer or smaller items")


def _error(message: Mapping[str, Any], name: str) -> Exception:
    detail, kind = str(message["error"]["detail"]), message["error"]["kind"]
    if kind != FINAL:
        return Problem(503, f"{name!r} cannot be read now: {detail}", headers={"Retry-After": "60"})
    if "trace" in message:
        return ReadingDefectError(message["trace"])
    return ProbeError(detail)


async def _reader(request: Request) -> Reader:
    return cast(Reader, request.app.state.reader)


AppReader = Annotated[Reader, Depends(_reader)]

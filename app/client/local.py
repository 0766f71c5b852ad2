"""LocalService: a service of one's own on this machine, for as long as it is needed: what the demo and tests start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx

from alignment.errors import WorkError

_READY_SECONDS = 120.0
_STOP_SECONDS = 40.0
_MARK = "Accord listens on "


@dataclass(frozen=True)
class LocalService:
    """A running `accord serve`.

    Attributes:
        url: where it answers.
        process: its process.
        log: where its log is.
    """

    url: str
    process: subprocess.Popen[str]
    log: Path

    @classmethod
    @contextmanager
    def start(cls, folder: Path | None = None, settings: Mapping[str, str] | None = None) -> Iterator[Self]:
        """Yields a service on a free port of loopback that is ready to work, and stops it.

        Args:
            folder: where it keeps its data; None is a temporary one that goes with it.
            settings: further settings, as environment variables.

        Raises:
            WorkError: if it does not become ready.
        """
        with tempfile.TemporaryDirectory(prefix="accord-") as temporary:
            data = folder or Path(temporary)
            log = data / "serve.log"
            given = {
                "ACCORD_DATA_DIR": str(data),
                "ACCORD_DATABASE_URL": f"sqlite:///{data.absolute() / 'accord.db'}",
                "ACCORD_HOST": "127.0.0.1",
                **(settings or {}),
            }
            with log.open("w") as errors:
                process = subprocess.Popen(
                    [sys.executable, "-m", "app.cli", "serve", "--port", "0"],
                    env={**os.environ, **given},
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    text=True,
                    process_group=0,  # Ctrl-C is for whoever started it, which then stops it
                )
            try:
                service = cls(_address(process, log), process, log)
                service.wait()
                yield service
            finally:
                _stop(process)

    def wait(self) -> None:
        """Waits until it is ready to work.

        Raises:
            WorkError: if it does not become so, or ends.
        """
        deadline = time.monotonic() + _READY_SECONDS
        with httpx.Client(timeout=5) as client:  # one for all looks: to make one takes as long as some of them
            while time.monotonic() < deadline and self.process.poll() is None:
                with suppress(httpx.HTTPError):  # it may not answer yet
                    if client.get(f"{self.url}/readyz").status_code == 200:
                        return
                time.sleep(0.1)
        raise WorkError(f"the service did not become ready; its log ends: {_tail(self.log)}")


def _stop(process: subprocess.Popen[str]) -> None:
    """Stops a service in order; by force if it does not stop."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.communicate(timeout=_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


def _address(process: subprocess.Popen[str], log: Path) -> str:
    assert process.stdout is not None  # noqa: S101 - it was asked for
    line = process.stdout.readline()
    if not line.startswith(_MARK):
        raise WorkError(f"the service did not start; its log ends: {_tail(log)}")
    return line.removeprefix(_MARK).strip()


def _tail(log: Path) -> str:
    return " ".join(log.read_text().splitlines()[-3:])

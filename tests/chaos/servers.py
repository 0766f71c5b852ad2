"""Databases that can be taken away for a while and given back."""

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from sqlalchemy.engine import make_url

SCRIPT = Path(__file__).parents[2] / ".ci" / "postgres.sh"


class Server(Protocol):
    """A database for one test."""

    url: str

    def take_away(self) -> None:
        """Nobody can use it from now on."""

    def give_back(self) -> None:
        """Everybody can use it again."""


class Sqlite:
    """A file that nobody else can write to while it is away, as on a disk that hangs."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "accord.db"
        self.url = f"sqlite:///{self._file}"

    def take_away(self) -> None:
        self._holder = sqlite3.connect(self._file, isolation_level=None, timeout=60)
        self._holder.execute("BEGIN IMMEDIATE")

    def give_back(self) -> None:
        self._holder.execute("ROLLBACK")
        self._holder.close()


class Postgres:
    """A server of the test's own, stopped while it is away."""

    def __init__(self, folder: Path) -> None:
        self._environment = {**os.environ, "POSTGRES_DIR": str(folder)}
        address = self._do("start").partition("=")[2].strip()
        self.url = make_url(address).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)

    def take_away(self) -> None:
        self._do("halt")

    def give_back(self) -> None:
        self._do("start")

    def stop(self) -> None:
        self._do("stop")

    def _do(self, what: str) -> str:
        command = [str(SCRIPT), what]
        return subprocess.run(
            command, env=self._environment, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ).stdout


@contextmanager
def server(kind: str, folder: Path) -> Iterator[Server]:
    """Yields a database of a kind, `sqlite` or `postgresql`, with nothing in it."""
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "sqlite":
        yield Sqlite(folder)
        return
    made = Postgres(Path("/tmp") / f"accord-chaos-{os.getpid()}-{folder.name}")  # a place that its user may enter
    try:
        yield made
    finally:
        made.stop()

"""Arena: a database, real worker processes over it that can be killed, frozen and replaced, and what came of it."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import RowMapping

from app.jobs import Engine, Ledger, NewJob
from app.storage import Database
from app.storage.database import is_outage
from app.storage.tables import counters, jobs, results, workers
from tests.chaos.worker_main import LEASE, handlers
from tests.processes import eventually, is_running

ROOT = Path(__file__).parents[2]
ENDED = ("succeeded", "failed", "cancelled")


@dataclass
class Arena:
    """Where workers are put to the test."""

    url: str
    folder: Path
    database: Database
    ledger: Ledger
    fleet: list[subprocess.Popen[bytes]] = field(default_factory=list)
    all: list[subprocess.Popen[bytes]] = field(default_factory=list)

    # -- workers

    def start(self, devices: str = "cpu") -> subprocess.Popen[bytes]:
        """Starts one worker more."""
        with (self.folder / "workers.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.worker_main", self.url, str(self.folder), devices],
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
        self.fleet.append(process)
        self.all.append(process)
        return process

    def staff(self, count: int) -> None:
        """Starts as many workers as are missing."""
        while len(self.fleet) < count:
            self.start()

    def ready(self, count: int, *, seasoned: bool = False) -> None:
        """Waits until so many live; `seasoned`: for so long that they may judge others."""
        age = LEASE + 2 if seasoned else 0

        def are() -> bool:
            with self.database.read() as connection:
                alive = sa.select(sa.func.count()).where(
                    workers.c.state == "alive", workers.c.started_at <= self.database.now() - age
                )
                return int(connection.execute(alive).scalar_one()) >= count

        eventually(are)

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """Kills a worker with no chance to say anything."""
        process.kill()
        process.wait()
        self.fleet.remove(process)

    def busy(self) -> list[subprocess.Popen[bytes]]:
        """The processes that have a job in hand."""
        with self.database.read() as connection:
            asked = sa.select(workers.c.pid).join(jobs, jobs.c.worker_id == workers.c.id)
            pids = set(connection.execute(asked.where(jobs.c.state == "running")).scalars())
        return [process for process in self.fleet if process.pid in pids]

    def worker_of(self, job_id: str) -> subprocess.Popen[bytes]:
        """The process that has a job in hand."""
        with self.database.read() as connection:
            asked = sa.select(workers.c.pid).where(workers.c.id == self.row(job_id)["worker_id"])
            pid = connection.execute(asked).scalar_one()
        return next(process for process in self.fleet if process.pid == pid)

    def close(self) -> None:
        """Ends every worker, in order where that goes."""
        for process in self.fleet:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self.fleet:
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.ledger.engine.close()
        self.database.close()

    # -- jobs

    def submit(self, team: str = "tea_1", **payload: Any) -> str:
        """Asks for a job whose process notes its number in the folder's log of children."""
        payload = {"log": str(self.folder / "children.log"), **payload}
        with self.database.write() as connection:
            return str(self.ledger.submit(connection, NewJob("comparison", team, "score", {}, payload))["id"])

    def row(self, job_id: str) -> RowMapping:
        with self.database.read() as connection:
            return connection.execute(sa.select(jobs).where(jobs.c.id == job_id)).mappings().one()

    def state(self, job_id: str) -> str:
        return str(self.row(job_id)["state"])

    def unfinished(self) -> int:
        with self.database.read() as connection:
            asked = sa.select(sa.func.count()).select_from(jobs).where(jobs.c.state.not_in(ENDED))
            return int(connection.execute(asked).scalar_one())

    def finish(self, looks: int = 6000) -> None:
        """Waits until every job has ended; while the database is away it has not."""

        def done() -> bool:
            try:
                return self.unfinished() == 0
            except Exception as error:
                if not is_outage(error):
                    raise
                return False

        eventually(done, looks)

    # -- what came of it

    def outcome(self) -> dict[str, int]:
        """How many jobs there are, succeeded, have a result, were settled; workers lost, children begun and left."""
        with self.database.read() as connection:

            def count(what: Any) -> int:
                return int(connection.execute(what).scalar_one())

            rows = sa.select(sa.func.count()).select_from
            return {
                "jobs": count(rows(jobs)),
                "succeeded": count(rows(jobs).where(jobs.c.state == "succeeded")),
                "results": count(rows(results)),
                "settled": count(rows(counters)),
                "begun": len(self.children()),
                "losses": count(sa.select(sa.func.coalesce(sa.func.sum(jobs.c.losses), 0))),
                "left": len(self.orphans()),
            }

    def children(self) -> list[int]:
        """The processes of jobs that ever began."""
        log = self.folder / "children.log"
        return [int(line.split()[-1]) for line in log.read_text().splitlines()] if log.exists() else []

    def orphans(self) -> list[int]:
        """Those of them that run though their worker does not."""
        held = self._held()
        return [pid for pid in self.children() if is_running(pid) and pid not in held]

    def _held(self) -> set[int]:
        """What belongs to a worker that lives."""
        return self.family(*(process.pid for process in self.fleet if process.poll() is None))

    def family(self, *pids: int) -> set[int]:
        """Workers' processes: their own, their pools of processes, and what those forked."""
        found = set(pids)
        for _ in range(2):
            running = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
            found |= {pid for pid in running if _parent(pid) in found}
        return found

    def said(self, event: str) -> int:
        """How often a worker logged something."""
        return (self.folder / "workers.log").read_text().count(f'"{event}')


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


@contextmanager
def arena(url: str, folder: Path) -> Iterator[Arena]:
    """Yields one over an empty database."""
    database = Database(url)
    Engine.migrate(database)
    database.migrate()
    made = Arena(url, folder, database, Ledger(database, Engine(database), handlers()))
    try:
        yield made
    finally:
        made.close()


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        return round(time.monotonic() - self._began, 2)

"""A ledger over fakes, and words for what the tests of jobs say again and again."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping

from app.jobs import Engine, Handler, Ledger, NewJob, Part
from app.jobs.claim import Claim
from app.jobs.recovery import Recovery
from app.storage import Database
from app.storage.tables import jobs, workers

FAKE = "tests.jobs.fakes:run"


class Bench:
    """A ledger, how often each job was settled, and shorthand."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.engine = Engine(database)
        self.settled: Counter[tuple[str, str]] = Counter()
        self.handlers = {
            "comparison": Handler("comparison", FAKE, self._settle),
            "study": Handler("study", FAKE, self._settle),
            "extraction": Handler("extraction", FAKE, self._settle, keeps_result=False),
        }
        self.ledger = Ledger(database, self.engine, self.handlers)
        self.recovery = Recovery(self.ledger)

    def _settle(self, connection: Connection, job: RowMapping, result: Mapping[str, Any] | None) -> None:
        self.settled[job["id"], job["state"]] += 1

    def submit(self, kind: str = "comparison", *, team: str = "tea_1", priority: int = 5, **payload: Any) -> str:
        new = NewJob(kind, team, "score", {"asked": True}, payload, priority)
        with self.database.write() as connection:
            return str(self.ledger.submit(connection, new)["id"])

    def claimed(self, job_id: str | None = None, worker: str = "wrk_a") -> Claim:
        claim = self.ledger.claim(job_id or self.submit(), worker)
        assert claim is not None
        return claim

    def parked(self, *parts: Part, team: str = "tea_1", priority: int = 5) -> str:
        claim = self.claimed(self.submit(team=team, priority=priority))
        assert self.ledger.park(claim, parts)
        return claim.job_id

    def cancel(self, job_id: str) -> bool:
        with self.database.write() as connection:
            return self.ledger.cancel(connection, job_id)

    def row(self, job_id: str) -> RowMapping:
        with self.database.read() as connection:
            return connection.execute(sa.select(jobs).where(jobs.c.id == job_id)).mappings().one()

    def state(self, job_id: str) -> str:
        return str(self.row(job_id)["state"])

    def of_content(self, content: str) -> str:
        """The newest part of a content."""
        with self.database.read() as connection:
            asked = sa.select(jobs.c.id).where(jobs.c.content == content).order_by(jobs.c.id.desc()).limit(1)
            return str(connection.execute(asked).scalar_one())

    def queued(self, job_id: str) -> list[tuple[str, str, int]]:
        """The entries that a job has in the queue: name, team, priority; the oldest first."""
        schema = "" if self.database.is_sqlite else "dbos."
        statement = (
            f"SELECT workflow_uuid, queue_partition_key, priority FROM {schema}workflow_status "
            "WHERE status = 'ENQUEUED' AND workflow_uuid LIKE :job ORDER BY workflow_uuid"
        )
        with self.database.read() as connection:
            return [tuple(row) for row in connection.execute(sa.text(statement), {"job": f"{job_id}/%"})]

    def set(self, job_id: str, **values: Any) -> None:
        with self.database.write() as connection:
            connection.execute(jobs.update().where(jobs.c.id == job_id).values(**values))

    def enter(self, worker_id: str, state: str = "alive", beat_ago: float = 0.0) -> str:
        values = {"id": worker_id, "host": "h", "pid": 1, "devices": [], "queues": [], "state": state}
        with self.database.write() as connection:
            now = self.database.now()
            connection.execute(workers.insert().values(**values, started_at=now, beat_at=now - beat_ago))
        return worker_id


def part(content: str, role: str = "extract_a", **payload: Any) -> Part:
    return Part("extraction", content, role, "extract", payload)


@pytest.fixture
def bench(database: Database) -> Iterator[Bench]:
    made = Bench(database)
    yield made
    made.engine.close()

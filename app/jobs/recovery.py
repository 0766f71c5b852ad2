"""Recovery: what is put back into the queue by whichever worker looks first: the due, the dead's, the lost."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
import structlog

from app.jobs.ledger import Ledger
from app.jobs.parts import Parts
from app.jobs.rows import QUEUED, Rows
from app.storage import new_id
from app.storage.database import is_outage
from app.storage.tables import jobs, workers

ALIVE = sa.select(workers.c.id).where(workers.c.state == "alive")
_LOG = structlog.get_logger("accord.jobs")
_RUNNING = jobs.c.state == "running"
_ALL_SECONDS = 600.0  # between two looks at every queued job
_AT_ONCE = 500  # jobs that one statement names
_ID = len(new_id("comparison"))  # as long as any other


class Recovery:
    """Looks after jobs that nobody has in hand."""

    def __init__(self, ledger: Ledger) -> None:
        self._database, self._engine = ledger.database, ledger.engine
        self._rows = Rows(ledger.database, ledger.engine, ledger.handlers)
        self._parts = Parts(self._rows)
        self._looked_at_all: float | None = None

    def retry_due(self) -> int:
        """Puts the jobs back into the queue whose time to be tried again has come; returns how many."""
        # The time is asked once, not of each row, and the state not at all, so that the index is what tells most.
        due = sa.and_(
            jobs.c.retry_at.is_not(None), jobs.c.retry_at <= sa.select(self._database.now()).scalar_subquery()
        )
        with self._database.read() as connection:
            found = connection.execute(sa.select(jobs.c.id).where(due)).scalars().all()
        count = 0
        for job_id in found:
            with self._database.write() as connection:
                queued = (jobs.c.id == job_id, jobs.c.state == "queued")
                row = self._rows.change(connection, *queued, due, retry_at=None)
                if row is not None:
                    self._rows.enqueue(connection, row)
                    count += 1
        return count

    def recover(self, most_losses: int) -> int:
        """Takes from workers that do not live what they had in hand, and gives up what was lost too often.

        Returns:
            How many jobs were taken.
        """
        orphaned = (_RUNNING, jobs.c.worker_id.not_in(ALIVE))
        return sum(self._recover(job_id, orphaned, most_losses) for job_id in self._ids(*orphaned))

    def running(self, worker_id: str) -> set[str]:
        """Returns the jobs that count as in the hands of a worker."""
        return set(self._ids(_RUNNING, jobs.c.worker_id == worker_id))

    def reclaim(self, worker_id: str, job_ids: Collection[str], most_losses: int) -> int:
        """Takes jobs from a live worker that count as in its hands and are not; returns how many, as `recover`."""
        theirs = (_RUNNING, jobs.c.worker_id == worker_id)
        return sum(self._recover(job_id, theirs, most_losses) for job_id in sorted(job_ids))

    def _recover(self, job_id: str, where: tuple[Any, ...], most_losses: int) -> bool:
        try:
            return self._take_away(job_id, where, most_losses)
        except Exception as error:
            if is_outage(error):
                raise
            _LOG.exception("job cannot end", job=job_id)  # the others are not to wait for it
        return self._take_away(job_id, where, most_losses, regardless=True)

    def _take_away(self, job_id: str, where: tuple[Any, ...], most_losses: int, *, regardless: bool = False) -> bool:
        with self._database.write() as connection:
            self._database.alone(connection)
            row = self._rows.change(
                connection,
                jobs.c.id == job_id,
                *where,
                state="queued",
                worker_id=None,
                fence=jobs.c.fence + 1,  # from here on the dead one, should it wake, changes nothing
                losses=jobs.c.losses + 1,
                attempts=jobs.c.attempts - 1,
                failing_since=None,
            )
            if row is not None and row["losses"] >= most_losses:
                detail = (
                    f"{row['losses']} workers died while they worked on it; it may need more memory than a worker has: "
                    "take fewer samples or layers"
                )
                error = {"stage": None, "model": None, "detail": detail}
                self._parts.fail(connection, job_id, error, regardless=regardless)
            elif row is not None:
                self._rows.enqueue(connection, row)
        return row is not None

    def redispatch(self) -> int:
        """Puts the queued jobs into the queue anew that no entry there stands for any more; returns how many.

        A worker that dies between taking an entry and claiming its job leaves such a one. It is found from the few
        entries that went wrong, however many jobs wait. At first, and then every ten minutes, each queued job is looked
        at: an entry may have gone in a way that leaves no trace.
        """
        entry = jobs.c.id + "/" + sa.cast(jobs.c.dispatches, sa.String)
        lost = (*QUEUED, ~self._engine.stands(entry, ALIVE))
        now = time.monotonic()
        if self._looked_at_all is None or now - self._looked_at_all >= _ALL_SECONDS:
            found = self._ids(*lost)
            self._looked_at_all = now
        else:
            wrong = [*self._engine.broken(), *self._engine.abandoned(ALIVE)]
            ids = sorted({name.rpartition("/")[0] for name in wrong})
            found = []
            for first in range(0, len(ids), _AT_ONCE):
                found += self._ids(jobs.c.id.in_(ids[first : first + _AT_ONCE]), *lost)
        return sum(self._dispatch_anew(job_id, lost) for job_id in found)

    def drop_spent(self) -> int:
        """Takes entries out of the queue whose job is not queued any more; returns how many.

        Whoever takes one finds nothing to do; but a queue that no worker takes from would keep it for ever.
        """
        job = sa.func.substr(self._engine.entry, 1, _ID)  # which every entry's name begins with
        spent = self._engine.waiting(~sa.exists().where(jobs.c.id == job, jobs.c.state == "queued"))
        self._engine.drop(spent)
        return len(spent)

    def _ids(self, *where: Any) -> list[str]:
        with self._database.read() as connection:
            return list(connection.execute(sa.select(jobs.c.id).where(*where).order_by(jobs.c.id)).scalars())

    def _dispatch_anew(self, job_id: str, lost: tuple[Any, ...]) -> bool:
        with self._database.write() as connection:
            row = self._rows.change(connection, jobs.c.id == job_id, *lost)
            if row is not None:
                self._rows.enqueue(connection, row)
        return row is not None

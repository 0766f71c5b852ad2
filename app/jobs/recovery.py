"""Recovery: what is put back into the queue by whichever worker looks first: the due, the dead's, the lost."""

from __future__ import annotations

import sqlalchemy as sa

from app.jobs.ledger import Ledger
from app.jobs.parts import Parts
from app.jobs.rows import QUEUED, Rows
from app.storage.tables import jobs, workers

_ALIVE = sa.select(workers.c.id).where(workers.c.state == "alive")
_ORPHANED = (jobs.c.state == "running", jobs.c.worker_id.not_in(_ALIVE))


class Recovery:
    """Looks after jobs that nobody has in hand."""

    def __init__(self, ledger: Ledger) -> None:
        self._database, self._engine = ledger.database, ledger.engine
        self._rows = Rows(ledger.database, ledger.engine, ledger.handlers)
        self._parts = Parts(self._rows)

    def retry_due(self) -> int:
        """Puts the jobs back into the queue whose time to be tried again has come; returns how many."""
        due = (jobs.c.state == "queued", jobs.c.retry_at <= self._database.now())
        with self._database.read() as connection:
            found = connection.execute(sa.select(jobs.c.id).where(*due)).scalars().all()
        count = 0
        for job_id in found:
            with self._database.write() as connection:
                row = self._rows.change(connection, jobs.c.id == job_id, *due, retry_at=None)
                if row is not None:
                    self._rows.enqueue(connection, row)
                    count += 1
        return count

    def recover(self, most_losses: int) -> int:
        """Takes from workers that do not live what they had in hand, and gives up what was lost too often.

        Returns:
            How many jobs were taken.
        """
        with self._database.read() as connection:
            found = connection.execute(sa.select(jobs.c.id).where(*_ORPHANED).order_by(jobs.c.id)).scalars().all()
        return sum(self._recover(job_id, most_losses) for job_id in found)

    def _recover(self, job_id: str, most_losses: int) -> bool:
        with self._database.write() as connection:
            self._database.alone(connection)
            row = self._rows.change(
                connection,
                jobs.c.id == job_id,
                *_ORPHANED,
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
                self._parts.fail(connection, job_id, {"stage": None, "model": None, "detail": detail})
            elif row is not None:
                self._rows.enqueue(connection, row)
        return row is not None

    def redispatch(self) -> int:
        """Puts the queued jobs into the queue anew that no entry there stands for any more; returns how many.

        A worker that dies between taking an entry and claiming its job leaves such a one.
        """
        entry = jobs.c.id + "/" + sa.cast(jobs.c.dispatches, sa.String)
        lost = (*QUEUED, ~self._engine.stands(entry, _ALIVE))
        with self._database.read() as connection:
            found = connection.execute(sa.select(jobs.c.id).where(*lost)).scalars().all()
        count = 0
        for job_id in found:
            with self._database.write() as connection:
                row = self._rows.change(connection, jobs.c.id == job_id, *lost)
                if row is not None:
                    self._rows.enqueue(connection, row)
                    count += 1
        return count

"""Roster: which workers there are, which of them live, and what becomes of a dead one's work.

A worker says each second that it lives. One that has not for longer than the lease is dead: whoever notices first puts
its jobs back into the queue. A worker that was only frozen finds out when it wakes, for its row says so, and ends.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence

import sqlalchemy as sa
import structlog

from app.jobs.ledger import Ledger
from app.jobs.recovery import ALIVE, Recovery
from app.storage import Database, new_id
from app.storage.tables import workers

_LOG = structlog.get_logger("accord.jobs")
BEAT_SECONDS = 1.0
_SWEEP_EVERY = 5  # looks for the dead


class Roster:
    """The workers' rows, as one of them sees them.

    Attributes:
        worker_id: this boot of this worker.
    """

    def __init__(self, ledger: Ledger, lease_seconds: float, most_losses: int) -> None:
        self._ledger, self._database = ledger, ledger.database
        self._recovery = Recovery(ledger)
        self._lease, self._most_losses = lease_seconds, most_losses
        self._beating_since: float | None = None
        self._last_beat = 0.0  # by our own clock
        self._last_said = 0.0  # by the database's
        self._looks = 0
        self.worker_id = new_id("worker")

    def register(self, devices: Sequence[str], queues: Sequence[str]) -> None:
        """Enters this worker."""
        with self._database.write() as connection:
            now = self._database.now()
            connection.execute(
                workers.insert().values(
                    id=self.worker_id,
                    host=socket.gethostname()[:255],
                    pid=os.getpid(),
                    devices=list(devices),
                    queues=list(queues),
                    state="alive",
                    started_at=now,
                    beat_at=now,
                )
            )

    def beat(self) -> bool:
        """Says that this worker lives; returns whether the others still think so."""
        with self._database.write() as connection:
            changed = connection.execute(
                workers.update()
                .where(workers.c.id == self.worker_id, workers.c.state == "alive")
                .values(beat_at=self._database.now())
                .returning(workers.c.beat_at)
            ).scalar_one_or_none()
        now = time.monotonic()
        passed, said = now - self._last_beat, (changed or 0.0) - self._last_said
        # A clock that was put forward makes all seem late who have not beaten since.
        if self._beating_since is None or max(passed, abs(said - passed)) > self._lease / 2:
            self._beating_since = now
        self._last_beat, self._last_said = now, changed or 0.0
        return changed is not None

    def reap(self) -> int:
        """Declares dead who is late, and puts back into the queue what the dead have in hand; returns how many died."""
        if not self._may_judge():
            return 0
        died = self._bury() if self._late() else []
        self._looks += 1
        # Now and then without a death, too: whoever was about to do this may have died itself.
        if died or self._looks % _SWEEP_EVERY == 0:
            jobs = self._sweep()
            for worker_id in died:
                _LOG.warning("worker died", dead=worker_id, jobs=jobs)
        return len(died)

    def _late(self) -> bool:
        with self._database.read() as connection:
            return connection.execute(sa.select(workers.c.id).where(*self._are_late())).first() is not None

    def _are_late(self) -> tuple[sa.ColumnElement[bool], ...]:
        """Returns what is so of those who are late: of nobody if we are, too, for then the clock was put forward."""
        since = self._database.now() - self._lease
        me = workers.alias("me")
        i_beat = sa.exists().where(me.c.id == self.worker_id, me.c.beat_at >= since)
        return workers.c.state == "alive", workers.c.beat_at < since, i_beat

    def _bury(self) -> Sequence[str]:
        """Declares dead who is late, and returns them."""
        with self._database.write() as connection:
            # Once more: whoever held us up on the way here has held up the others' beats, too.
            if not self._may_judge():
                return []
            buried = workers.update().where(*self._are_late()).values(state="dead").returning(workers.c.id)
            return connection.execute(buried).scalars().all()

    def _may_judge(self) -> bool:
        """Whether our own beats went through for a lease: after the database was away nobody has beaten."""
        now, since = time.monotonic(), self._beating_since
        return since is not None and now - since >= self._lease and now - self._last_beat <= self._lease / 2

    def _sweep(self) -> int:
        """Returns how many jobs it put back, having dropped what the dead still count as running."""
        count = self._recovery.recover(self._most_losses) + self._recovery.redispatch()
        engine = self._ledger.engine
        engine.drop(engine.abandoned(ALIVE))
        return count

    def leave(self) -> None:
        """Says that this worker has ended in order, everything given back."""
        with self._database.write() as connection:
            connection.execute(workers.update().where(workers.c.id == self.worker_id).values(state="gone"))

    def forget(self, seconds: float) -> int:
        """Deletes the rows of workers that ended so long ago; returns how many."""
        with self._database.write() as connection:
            old = (workers.c.state != "alive", workers.c.beat_at < self._database.now() - seconds)
            return len(connection.execute(workers.delete().where(*old).returning(workers.c.id)).all())


def live_workers(database: Database, lease_seconds: float) -> int:
    """Returns how many workers have said within the lease that they live."""
    with database.read() as connection:
        asked = (
            sa.select(sa.func.count())
            .select_from(workers)
            .where(workers.c.state == "alive", workers.c.beat_at >= database.now() - lease_seconds)
        )
        return int(connection.execute(asked).scalar_one())

"""Roster: which workers there are, which of them live, and what becomes of a dead one's work.

A worker says each second that it lives. One that has not for longer than the lease is dead: whoever notices first puts
its jobs back into the queue. A worker that was only frozen finds out when it wakes, for its row says so, and ends.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
import structlog

from app.jobs.ledger import Ledger
from app.storage import Database, new_id
from app.storage.tables import workers

_LOG = structlog.get_logger("accord.jobs")
BEAT_SECONDS = 1.0


class Roster:
    """The workers' rows, as one of them sees them.

    Attributes:
        worker_id: this boot of this worker.
    """

    def __init__(self, ledger: Ledger, lease_seconds: float, most_losses: int) -> None:
        self._ledger, self._database = ledger, ledger.database
        self._lease, self._most_losses = lease_seconds, most_losses
        self._beating_since: float | None = None
        self._last_beat = 0.0
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
                .returning(workers.c.id)
            ).first()
        now = time.monotonic()
        if self._beating_since is None or now - self._last_beat > self._lease / 2:
            self._beating_since = now  # after an outage of the database nobody has beaten: it is no proof of death
        self._last_beat = now
        return changed is not None

    def reap(self) -> int:
        """Puts the work of dead workers back into the queue; returns how many workers died."""
        if self._beating_since is None or time.monotonic() - self._beating_since < self._lease:
            return 0
        late = (workers.c.state == "alive", workers.c.beat_at < self._database.now() - self._lease)
        with self._database.read() as connection:
            found = connection.execute(sa.select(workers.c.id).where(*late)).scalars().all()
        return sum(self._bury(worker_id, late) for worker_id in found)

    def leave(self) -> None:
        """Says that this worker has ended in order, everything given back."""
        with self._database.write() as connection:
            connection.execute(workers.update().where(workers.c.id == self.worker_id).values(state="gone"))

    def _bury(self, worker_id: str, late: tuple[Any, ...]) -> bool:
        self._ledger.engine.forget(worker_id)  # before the row: whoever takes over after a fall here does it again
        with self._database.write() as connection:
            buried = connection.execute(
                workers.update().where(workers.c.id == worker_id, *late).values(state="dead").returning(workers.c.id)
            ).first()
            if buried is None:  # another was faster, or it lives after all
                return False
            count = self._ledger.recover(connection, worker_id, self._most_losses)
        _LOG.warning("worker died", dead=worker_id, jobs=count)
        return True


def live_workers(database: Database, lease_seconds: float) -> int:
    """Returns how many workers have said within the lease that they live."""
    with database.read() as connection:
        asked = (
            sa.select(sa.func.count())
            .select_from(workers)
            .where(workers.c.state == "alive", workers.c.beat_at >= database.now() - lease_seconds)
        )
        return int(connection.execute(asked).scalar_one())

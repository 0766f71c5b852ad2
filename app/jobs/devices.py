"""Devices: whether what is asked of one may be waited for."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Connection

from app.jobs.handler import GPU, Task
from app.storage.tables import workers


def gpu_tasks(connection: Connection) -> list[Task] | None:
    """Returns the tasks that may be waited for on a GPU; None as long as no worker is there, for nobody can tell then.

    One may if a worker does it on a GPU, or one that ended within the last day did (it may come again: the rows are
    kept for so long).
    """
    found = connection.execute(sa.select(workers.c.queues, workers.c.state)).all()
    if all(state != "alive" for _, state in found):
        return None
    served = {queue for queues, _ in found for queue in queues}
    return [task for task, queue in GPU.items() if queue in served]

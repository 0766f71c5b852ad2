"""Devices: whether what is asked of one may be waited for."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Connection

from app.storage.tables import workers


def gpu_to_come(connection: Connection) -> bool:
    """Whether work on a GPU may be waited for.

    It may if a worker has one, or one that ended within the last day had (it may come again: the rows are kept for so
    long); and as long as no worker is there at all, for then nobody can tell.
    """
    found = connection.execute(sa.select(workers.c.devices, workers.c.state)).all()
    gpu = any(device.startswith("cuda") for devices, _ in found for device in devices)
    return gpu or all(state != "alive" for _, state in found)

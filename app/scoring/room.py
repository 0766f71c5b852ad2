"""Room: a team has no more jobs waiting than it may, however many are asked for at once.

Each is queued in its transaction. Near the limit it is counted at the end of that, when the others that are as far
wait for each other: on PostgreSQL by a lock of the team's own. SQLite has one transaction that writes at a time.
Far from the limit nobody waits or is counted again, which would be two more of the few statements that a post takes:
those that a database has connections for cannot fill what is left. Only one that hangs in the middle, while hundreds
of others are queued, may come in beyond the limit.
"""

from __future__ import annotations

import zlib

import sqlalchemy as sa
from sqlalchemy import Connection

from app.api.state import State
from app.problems import Problem

_WAIT_SECONDS = 10  # what a team is told to wait when it has as many jobs queued as it may
_FAR = 600  # several times as many transactions as a database has connections for
_ROOM = 4711044  # of an advisory lock


def check_room(state: State, connection: Connection, team: str) -> int:
    """Refuses a job of a team that has as many as it may; returns how many it has.

    Raises:
        Problem: 429.
    """
    most = state.settings.max_queued
    found = state.ledger.few(connection, team, most)
    if found >= most:
        raise _full(most)
    return found


def hold_room(state: State, connection: Connection, team: str, found: int) -> None:
    """Refuses the job that this transaction has queued if others have taken its place since `check_room`.

    Call it last: near its limit a team's others wait from here on until the transaction ends.

    Raises:
        Problem: 429.
    """
    most = state.settings.max_queued
    if state.database.is_sqlite or found + _FAR < most:
        return
    lock = sa.func.pg_advisory_xact_lock(_ROOM, zlib.crc32(team.encode()) - (1 << 31))
    connection.execute(sa.select(lock))
    if state.ledger.few(connection, team, most + 1) > most:
        raise _full(most)


def _full(most: int) -> Problem:
    return Problem(
        429,
        f"this team has {most} comparisons, studies and trainings that have not ended; wait for some, or cancel what "
        "is not needed",
        headers={"Retry-After": str(_WAIT_SECONDS)},
    )

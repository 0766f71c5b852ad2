"""Connections: how each kind of database is connected to, and how one that has died is told from one that lives.

A server is not asked at each use whether it is still there, which would cost each request a round trip: one that closes
a connection makes its socket readable, and only what has lain for long is asked.
"""

from __future__ import annotations

import select
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import InvalidatePoolError

SQLITE_WAIT = 30_000  # milliseconds that a writer waits for another's transaction
_OVERFLOW = 20
_REST_SECONDS = 5.0  # after so long without use a connection is asked: its server's machine may have vanished unheard
_POSTGRESQL = {  # a server that has vanished is noticed within half a minute, not after TCP's two hours
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}


def make_engine(url: str, pool: int) -> Engine:
    """Returns the engine of a database, with a pool of so many connections and some more when they are all in use."""
    if not url.startswith("sqlite"):
        engine = sa.create_engine(url, pool_size=pool, max_overflow=_OVERFLOW, connect_args=_POSTGRESQL)
        event.listen(engine, "checkin", _rest)
        event.listen(engine, "checkout", _Check(engine))
        return engine
    Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(url, pool_size=pool, max_overflow=_OVERFLOW, connect_args={"timeout": 30})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _rest(connection: Any, record: Any) -> None:
    record.info["rests_since"] = time.monotonic()


class _Check:
    """Has a connection that has died replaced, and with it all that the pool holds."""

    def __init__(self, engine: Engine) -> None:
        self._dialect = engine.dialect

    def __call__(self, connection: Any, record: Any, proxy: Any) -> None:
        since = record.info.get("rests_since")
        if since is None or (time.monotonic() - since < _REST_SECONDS and not _says_something(connection)):
            return
        record.info.pop("rests_since")
        try:
            self._dialect.do_ping(connection)
        except self._dialect.loaded_dbapi.Error as error:
            if not self._dialect.is_disconnect(error, connection, None):
                raise
            raise InvalidatePoolError from error


def _says_something(connection: Any) -> bool:
    """Whether a server has sent what nobody asked for: that it ends, or a notice."""
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _prepare_sqlite(connection: Any, _: Any) -> None:
    # pysqlite begins transactions by itself, and late: it leaves that to us, in `_begin_sqlite`.
    connection.isolation_level = None
    # SQLite's own clock counts in milliseconds, and a value that we bind is that of the moment when it was bound.
    connection.create_function("accord_now", 0, time.time)
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={SQLITE_WAIT}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")  # a commit that was answered survives the machine's fall too
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later loses to one that wrote meanwhile; IMMEDIATE waits instead.
    write = connection.get_execution_options().get("accord_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

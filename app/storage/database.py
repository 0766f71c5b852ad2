"""Database: one engine, transactions that do not lose writes, and the migrations that make the tables."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from alignment.errors import WorkError
from app.storage.connections import SQLITE_WAIT, make_engine
from app.storage.ids import new_id
from app.storage.tables import METADATA, cluster

T = TypeVar("T")
_MIGRATIONS = Path(__file__).parent / "migrations"
_DEADLOCK_TRIES = 5
_BROKEN_OFF = ("DeadlockDetected", "SerializationFailure")
_SQLITE_AWAY = {  # these may pass
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
}
_MIGRATING, _ALONE = 4711042, 4711043  # advisory locks


class Database:
    """The database that all processes share.

    Attributes:
        url: where it is; holds a password and is never shown.
        engine: SQLAlchemy's.
    """

    def __init__(self, url: str, *, pool: int = 20) -> None:
        self.url = url
        self.is_sqlite = url.startswith("sqlite")
        self._writing = threading.Lock()
        self._prepared: dict[Callable[[Database], Any], Any] = {}
        self.engine = make_engine(url, pool)
        # On PostgreSQL's level of isolation each statement sees what was committed when it began, within a transaction
        # or without; without, a read saves two round trips.
        self._reading = self.engine if self.is_sqlite else self.engine.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Yields a connection in a transaction that is committed at the end, rolled back by an error.

        On SQLite it holds the one write lock from its beginning: read, decide and write is one step.
        """
        with (
            self._turn(),
            self.engine.connect().execution_options(accord_write=True) as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Waits on SQLite for this process's other writers, in order: SQLite's own wait is a sleep that grows."""
        if not self.is_sqlite:
            yield
            return
        if not self._writing.acquire(timeout=SQLITE_WAIT / 1000):
            raise sa.exc.TimeoutError("another transaction of this process takes too long")
        try:
            yield
        finally:
            self._writing.release()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yields a connection that changes nothing; each statement sees one state, on SQLite all see the same."""
        with self._reading.connect() as connection, connection.begin():
            yield connection

    def transact(self, step: Callable[[Connection], T]) -> T:
        """Returns what `step` returns in a transaction, tried again if another's locks broke it off."""
        for tries in range(_DEADLOCK_TRIES):
            try:
                with self.write() as connection:
                    return step(connection)
            except OperationalError as error:
                if tries + 1 == _DEADLOCK_TRIES or type(error.orig).__name__ not in _BROKEN_OFF:
                    raise
        raise AssertionError("unreachable")

    def alone(self, connection: Connection) -> None:
        """Waits until no other transaction is alone, and is so until it ends; call it before anything is changed.

        What touches several jobs' rows does this, for their order in one such change is another's order reversed.
        """
        if not self.is_sqlite:  # where every writer is alone
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ALONE)))

    def now(self) -> sa.ColumnElement[float]:
        """Returns an expression for the seconds since 1970 by the database's clock, for use in statements."""
        if self.is_sqlite:  # on one machine, whose clock is ours
            return sa.func.accord_now(type_=sa.Float)
        return sa.cast(sa.func.extract("epoch", sa.func.clock_timestamp()), sa.Float)

    def moment(self) -> float:
        """Returns the seconds since 1970 by the database's clock."""
        with self.read() as connection:
            return float(connection.execute(sa.select(self.now())).scalar_one())

    def prepared(self, make: Callable[[Database], T]) -> T:
        """Returns a statement that is made once and executed often: to build one costs as much as to execute it."""
        known = self._prepared.get(make)
        if known is None:
            known = self._prepared[make] = make(self)
        return cast(T, known)

    def insert(self, table: sa.Table) -> Any:
        """Returns an INSERT that knows `on_conflict_do_nothing`; take its effect from RETURNING, not from a count."""
        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    def migrate(self, revision: str = "head") -> None:
        """Brings our tables to a revision, forwards or back to `base`; two at once do it once."""
        from alembic import command

        with self.write() as connection:
            if not self.is_sqlite:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATING)))
            config = _alembic(connection)
            if revision == "base":
                command.downgrade(config, revision)
            else:
                command.upgrade(config, revision)
            if revision != "base" and connection.execute(sa.select(cluster.c.id)).first() is None:
                connection.execute(cluster.insert().values(id=new_id("cluster"), created_at=self.now()))

    def answers(self) -> bool:
        """Returns True, or raises what keeps it from answering."""
        with self.read() as connection:
            return bool(connection.execute(sa.text("SELECT 1")).scalar_one())

    def is_migrated(self) -> bool:
        """Whether the tables are there and of this version."""
        with self.read() as connection:
            return revision_of(connection) == self._head

    @cached_property
    def _head(self) -> str | None:
        """The migration that this version's tables are at; reading it imports every migration."""
        from alembic.script import ScriptDirectory

        return ScriptDirectory(str(_MIGRATIONS)).get_current_head()

    def cluster_id(self) -> str:
        """Returns who this database is; one that was made anew is another."""
        with self.read() as connection:
            return str(connection.execute(sa.select(cluster.c.id)).scalar_one())

    def wait(self, seconds: float, *, ready: Callable[[], bool] | None = None) -> None:
        """Waits until the database answers and, unless told otherwise, is migrated.

        Raises:
            WorkError: if it has not after `seconds`.
        """
        deadline = time.monotonic() + seconds
        while True:
            why = "it has no tables of this version; run `accord migrate`"
            try:
                if (ready or self.is_migrated)():
                    return
            except (OperationalError, InterfaceError) as error:
                why = f"it does not answer ({type(error.orig).__name__})"
            if time.monotonic() > deadline:
                raise WorkError(f"the database cannot be used after {seconds:g} s: {why}")
            time.sleep(0.5)

    def close(self) -> None:
        """Lets every connection go."""
        self.engine.dispose()


def is_outage(error: BaseException) -> bool:
    """Whether an error says that the database is away for now, so that the same again may succeed."""
    if isinstance(error, sa.exc.TimeoutError):  # every connection of the pool is in use
        return True
    if not isinstance(error, DBAPIError):
        return False
    if isinstance(error.orig, sqlite3.Error):  # which calls a missing table an operational error, too
        return getattr(error.orig, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF in _SQLITE_AWAY
    return error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)


def revision_of(connection: Connection) -> str | None:
    """Returns the migration that the tables are at; None before the first."""
    from alembic.migration import MigrationContext

    revision: str | None = MigrationContext.configure(connection).get_current_revision()
    return revision


def _alembic(connection: Connection) -> Any:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    config.attributes["metadata"] = METADATA
    return config

"""A connection that the server has closed is replaced before it is used; one that lives is not asked each time."""

from typing import Any

import pytest
import sqlalchemy as sa

from app.storage import Database
from app.storage.tables import cluster
from tests.databases import SERVER

pytestmark = pytest.mark.skipif(not SERVER, reason="SQLite has no connection to lose; set TEST_DATABASE_URL")


@pytest.fixture
def asked(database: Database, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The connections that were asked whether they live."""
    real, found = database.engine.dialect.do_ping, []

    def ping(connection: Any) -> bool:
        found.append(connection)
        return real(connection)

    monkeypatch.setattr(database.engine.dialect, "do_ping", ping)
    return found


def uses(database: Database) -> int:
    """The server's process behind the connection of a read."""
    with database.read() as connection:
        return int(connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one())


def end(database: Database, *processes: int) -> None:
    other = Database(database.url)
    with other.read() as connection:
        for process in processes:
            connection.execute(sa.text("SELECT pg_terminate_backend(:process, 5000)"), {"process": process})
    other.close()


def test_what_the_server_has_closed_is_replaced_before_it_is_used(database: Database, asked: list[Any]) -> None:
    with database.read() as one, database.read() as two:
        before = {int(each.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()) for each in (one, two)}
    end(database, *before)
    assert uses(database) not in before
    assert len(asked) == 1  # with the first all others are replaced
    with database.write() as connection:
        assert connection.execute(sa.select(cluster.c.id)).first() is not None


def test_what_lives_is_asked_only_after_a_long_rest(
    database: Database, asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    process = uses(database)
    assert [uses(database) for _ in range(20)] == [process] * 20
    assert asked == []
    monkeypatch.setattr("app.storage.connections._REST_SECONDS", 0.0)
    assert uses(database) == process
    assert len(asked) == 1


def test_a_read_is_no_transaction(database: Database) -> None:
    with database.read() as connection:
        raw = connection.connection.dbapi_connection
        connection.execute(sa.text("SELECT 1"))
        assert raw is not None
        assert raw.info.transaction_status.name == "IDLE"
    with database.write() as connection:
        connection.execute(sa.text("SELECT 1"))
        assert connection.connection.dbapi_connection.info.transaction_status.name == "INTRANS"

"""Transactions lose no write, and what says that the database is away is told from what is our mistake."""

import sqlite3
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from app.storage import Database, new_id
from app.storage.database import is_outage
from app.storage.tables import counters, jobs


def bump(database: Database) -> None:
    with database.write() as connection:
        asked = sa.select(counters.c.value).where(counters.c.name == "n")
        seen = connection.execute(asked if database.is_sqlite else asked.with_for_update()).scalar_one()
        connection.execute(counters.update().where(counters.c.name == "n").values(value=seen + 1))


def test_read_then_write_loses_nothing_to_others(database: Database) -> None:
    with database.write() as connection:
        connection.execute(counters.insert().values(name="n", labels="", value=0))

    def many() -> None:
        for _ in range(25):
            bump(database)

    threads = [threading.Thread(target=many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as connection:
        assert connection.execute(sa.select(counters.c.value)).scalar_one() == 100


def test_an_error_rolls_back(database: Database) -> None:
    def fall() -> None:
        with database.write() as connection:
            connection.execute(counters.insert().values(name="n", labels="", value=0))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fall()
    with database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(counters)).scalar_one() == 0


def test_sqlite_writes_ahead_and_survives_the_machine(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'deep' / 'accord.db'}")
    database.migrate()
    with database.read() as connection:
        assert connection.execute(sa.text("PRAGMA journal_mode")).scalar_one() == "wal"
        assert connection.execute(sa.text("PRAGMA synchronous")).scalar_one() == 2  # FULL
        assert connection.execute(sa.text("PRAGMA foreign_keys")).scalar_one() == 1
    with sqlite3.connect(tmp_path / "deep" / "accord.db") as other:  # it is the file's property, whoever opens it
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    other.close()
    database.close()


def test_a_reader_is_not_held_up_by_a_writer_and_sees_one_state(database: Database) -> None:
    counted = sa.select(sa.func.count()).select_from(counters)
    with database.write() as writing:
        writing.execute(counters.insert().values(name="n", labels="", value=0))
        with database.read() as reading:
            assert reading.execute(counted).scalar_one() == 0
    with database.read() as reading:
        assert reading.execute(counted).scalar_one() == 1


def test_only_one_is_alone(database: Database) -> None:
    order: list[str] = []
    entered = threading.Event()

    def second() -> None:
        with database.write() as connection:
            database.alone(connection)
            order.append("second")

    with database.write() as connection:
        database.alone(connection)
        thread = threading.Thread(target=lambda: (entered.set(), second()))
        thread.start()
        entered.wait()
        thread.join(0.3)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_the_clock_is_the_databases_and_goes_on_within_a_transaction(database: Database) -> None:
    with database.read() as connection:
        first = connection.execute(sa.select(database.now())).scalar_one()
        second = connection.execute(sa.select(database.now())).scalar_one()
    assert 1.7e9 < first < second


def test_the_clock_is_read_when_a_statement_is_executed_and_is_not_taken_for_a_number(database: Database) -> None:
    with database.read() as connection:  # statements are kept by their shape
        assert connection.execute(sa.select(sa.literal(5.0, sa.Float))).scalar_one() == 5.0
        asked = sa.select(database.now())
        first, second = (connection.execute(asked).scalar_one() for _ in range(2))
    assert 1.7e9 < first < second


def test_transact_tries_again_what_a_deadlock_broke_off(database: Database) -> None:
    """Two that lock the same rows in opposite order: PostgreSQL breaks one off, SQLite lets one wait at the door."""
    with database.write() as connection:
        connection.execute(counters.insert(), [{"name": name, "labels": "", "value": 0} for name in "ab"])
    meet = threading.Barrier(2, timeout=10)
    tries: list[str] = []

    def change(first: str, second: str) -> None:
        def step(connection: sa.Connection) -> None:
            tries.append(first)
            for name in (first, second):
                connection.execute(counters.update().where(counters.c.name == name).values(value=counters.c.value + 1))
                if not database.is_sqlite and len(tries) <= 2 and name == first:
                    meet.wait()

        database.transact(step)

    threads = [threading.Thread(target=change, args=pair) for pair in ("ab", "ba")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as connection:
        assert connection.execute(sa.select(counters.c.value)).scalars().all() == [2, 2]
    assert len(tries) == (2 if database.is_sqlite else 3)


@pytest.mark.parametrize(
    "statement",
    ["SELECT * FROM nowhere", "SELEKT", "SELECT id FROM jobs WHERE nothing = 1"],
    ids=["table", "word", "column"],
)
def test_our_mistakes_are_no_outage(database: Database, statement: str) -> None:
    with pytest.raises(sa.exc.SQLAlchemyError) as caught, database.read() as connection:
        connection.execute(sa.text(statement))
    assert not is_outage(caught.value)


def test_a_broken_rule_is_no_outage(database: Database) -> None:
    row = {"name": "n", "labels": "", "value": 0}
    with pytest.raises(IntegrityError) as caught, database.write() as connection:
        connection.execute(counters.insert(), [row, row])
    assert not is_outage(caught.value)
    assert not is_outage(ValueError())


def test_a_server_that_does_not_answer_is_an_outage() -> None:
    database = Database("postgresql+psycopg://accord@127.0.0.1:1/none")
    with pytest.raises(sa.exc.OperationalError) as caught, database.read():
        pass
    assert is_outage(caught.value)
    database.close()


def test_a_lock_held_too_long_is_an_outage(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'accord.db'}")
    database.migrate()
    holder = sqlite3.connect(tmp_path / "accord.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout=10")
    with pytest.raises(sa.exc.OperationalError) as caught, database.write():
        pass
    holder.close()
    assert is_outage(caught.value)
    database.close()


def test_a_folder_that_is_gone_is_an_outage(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'data' / 'accord.db'}")
    (tmp_path / "data").rmdir()
    with pytest.raises(sa.exc.OperationalError) as caught, database.read():
        pass
    assert is_outage(caught.value)
    database.close()


def test_ids_say_their_kind_and_sort_by_creation() -> None:
    made = [new_id("comparison") for _ in range(2000)]
    assert all(one.startswith("cmp_") for one in made)
    assert len(set(made)) == len(made)
    assert made == sorted(made)


def test_ids_fit_their_columns() -> None:
    assert all(len(new_id(kind)) <= jobs.c.id.type.length for kind in ("comparison", "extraction", "worker"))

"""What is too old goes, some at a time, and the newer stays."""

import time

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection, event

from app.storage import Database, new_id
from app.storage.ids import first_of
from app.storage.purge import AT_ONCE, purge
from app.storage.tables import counters, idempotency


def test_it_goes_in_transactions_of_a_few(database: Database) -> None:
    rows = [{"name": f"n{number}", "labels": "", "value": float(number)} for number in range(2 * AT_ONCE + 10)]
    with database.write() as connection:
        connection.execute(counters.insert(), rows)
    ended: list[Connection] = []
    event.listen(database.engine, "commit", lambda connection: ended.append(connection))
    assert purge(database, counters, counters.c.value < 2 * AT_ONCE) == 2 * AT_ONCE
    assert len(ended) == 3
    with database.read() as connection:
        left = connection.execute(sa.select(counters.c.value)).scalars().all()
    assert sorted(left) == [2 * AT_ONCE + number for number in range(10)]


def test_a_key_of_two_columns_will_do(database: Database) -> None:
    with database.write() as connection:
        for key, made in (("old", 1.0), ("new", 100.0)):
            row = {"team_id": "tea_1", "key": key, "digest": "", "status": 202, "headers": {}, "body": ""}
            connection.execute(idempotency.insert().values(**row, created_at=made))
    assert purge(database, idempotency, idempotency.c.created_at < 50) == 1
    with database.read() as connection:
        assert connection.execute(sa.select(idempotency.c.key)).scalars().all() == ["new"]


@pytest.mark.parametrize("kind", ["run", "audit", "delivery"])
def test_ids_are_told_apart_by_when_they_were_made(kind: str) -> None:
    made = new_id(kind)
    now = time.time()
    assert first_of(kind, now - 1) < made < first_of(kind, now + 1)
    assert len(first_of(kind, now)) == len(made)

"""Keys: shown once, kept as salted hashes, worth nothing once revoked."""

import re

import pytest
import sqlalchemy as sa

from alignment.errors import RequestError
from app.storage import Database
from app.storage.tables import METADATA, audit
from app.storage.tables import keys as table
from app.teams import keys


def everything(database: Database) -> str:
    with database.read() as connection:
        return "\n".join(
            repr(row) for one in METADATA.sorted_tables for row in connection.execute(sa.select(one)).all()
        )


def known(database: Database, key: str | None) -> keys.Known | None:
    with database.read() as connection:
        return keys.authenticate(connection, key)


def test_a_key_is_kept_nowhere(database: Database) -> None:
    key_id, key = keys.create(database, "team", "runner")
    secret = key.split("_", 2)[2]
    assert len(secret) >= 43  # 256 bits
    assert secret not in everything(database)
    assert key_id == f"key_{key.split('_')[1]}"
    found = known(database, key)
    assert found is not None
    assert (found.key, found.team_name, found.role) == (key_id, "team", "runner")


def test_the_same_secret_under_another_salt_is_another_hash(database: Database) -> None:
    made = [keys.create(database, "team", "reader") for _ in range(3)]
    with database.read() as connection:
        rows = connection.execute(sa.select(table.c.salt, table.c.hash)).all()
    assert len({salt for salt, _ in rows}) == len({hash_ for _, hash_ in rows}) == 3
    assert all(re.fullmatch(r"[0-9a-f]{32}", salt) and re.fullmatch(r"[0-9a-f]{64}", hash_) for salt, hash_ in rows)
    assert len({key for _, key in made}) == 3


def test_nothing_but_the_key_is_the_key(database: Database) -> None:
    _, key = keys.create(database, "team", "admin")
    mark, name, secret = key.split("_", 2)
    other = keys.create(database, "team", "admin")[1].split("_", 2)
    wrong = [
        None,
        "",
        "x",
        key[:-1],
        key + "a",
        key.upper(),
        f" {key}",
        f"{mark}_{name}_{other[2]}",
        f"{mark}_{other[1]}_{secret}",
        f"{mark}_{name}_",
        f"key_{name}_{secret}",
        keys.generate(),
        f"{key}é",
    ]
    assert [attempt for attempt in wrong if known(database, attempt) is not None] == []


def test_a_revoked_key_is_worth_nothing_at_once_and_for_good(database: Database) -> None:
    key_id, key = keys.create(database, "team", "admin")
    assert known(database, key) is not None
    keys.revoke(database, key_id)
    assert known(database, key) is None
    keys.revoke(database, key_id)  # again changes nothing
    keys.create(database, "team", "admin", key=key)  # nor does entering it anew
    assert known(database, key) is None
    with database.read() as connection:
        assert keys.any_key(connection)  # the door does not open again
        (row,) = keys.listed(connection)
    assert row["revoked_at"] is not None
    assert set(row) == {"id", "team", "role", "created_at", "revoked_at"}


def test_a_key_of_ones_own_is_entered_once(database: Database) -> None:
    key = keys.generate()
    first = keys.create(database, "default", "admin", key=key)
    assert keys.create(database, "default", "admin", key=key) == first == (first[0], key)
    with database.read() as connection:
        assert len(keys.listed(connection)) == 1
    with pytest.raises(RequestError, match="is the id of another key"):
        keys.create(database, "default", "admin", key=key[:-4] + "AAAA")
    with pytest.raises(RequestError, match="no key of Accord"):
        keys.create(database, "default", "admin", key="hunter2")


def test_names_that_cannot_be_are_refused(database: Database) -> None:
    for team, role in (("team", "root"), ("", "reader"), (" ", "reader"), ("x" * 101, "reader")):
        with pytest.raises(RequestError):
            keys.create(database, team, role)
    with pytest.raises(RequestError, match="no key 'key_none'"):
        keys.revoke(database, "key_none")


def test_what_happens_to_keys_is_noted(database: Database) -> None:
    key_id, _ = keys.create(database, "team", "admin")
    keys.revoke(database, key_id)
    with database.read() as connection:
        rows = connection.execute(sa.select(audit.c.action, audit.c.resource).order_by(audit.c.id)).all()
    assert [tuple(row) for row in rows] == [("key.create", key_id), ("key.revoke", key_id)]

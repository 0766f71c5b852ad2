"""The migrations make exactly the tables that the code knows, and take them away again."""

import threading

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from alignment.errors import WorkError
from app.jobs import Engine
from app.storage import Database
from app.storage.database import revision_of
from app.storage.tables import METADATA, probes


def tables(database: Database) -> set[str]:
    return set(sa.inspect(database.engine).get_table_names())


def test_up_makes_every_table_and_down_leaves_none_of_them(database_url: str) -> None:
    database = Database(database_url)
    for _ in range(2):
        database.migrate()
        assert set(METADATA.tables) <= tables(database)
        database.migrate("base")
        assert not set(METADATA.tables) & tables(database)
    database.close()


def test_autogenerate_finds_no_difference_and_leaves_the_queue_alone(database: Database) -> None:
    def ours(name: str | None, kind: str, _: object) -> bool:
        return kind != "table" or name in METADATA.tables

    with database.read() as connection:
        options = {"include_name": ours, "compare_type": True, "render_as_batch": True}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), METADATA) == []


def test_down_leaves_the_queue_and_up_finds_it(database: Database) -> None:
    with database.read() as connection:
        known = sa.inspect(connection).has_table("workflow_status", None if database.is_sqlite else "dbos")
    database.migrate("base")
    with database.read() as connection:
        left = sa.inspect(connection).has_table("workflow_status", None if database.is_sqlite else "dbos")
    database.migrate()
    assert known
    assert left


def test_a_probe_set_of_an_earlier_version_stays_and_its_views_are_not_known(database_url: str) -> None:
    database = Database(database_url)
    database.migrate("0004")
    values = {"id": "prb_1", "team_id": "t", "name": "n", "shared": False, "source": {}, "reference": "r"}
    values |= {"columns": {}, "modality": "array", "samples": 2, "sha256": "s", "created_at": 0.0}
    with database.write() as connection:
        connection.execute(probes.insert().values(values))
    database.migrate()
    with database.read() as connection:
        row = connection.execute(sa.select(probes)).mappings().one()
    assert (row["name"], row["views"]) == ("n", None)
    database.close()


def test_several_at_once_migrate_once_and_agree_on_who_the_database_is(database_url: str) -> None:
    found: list[str] = []

    def migrate() -> None:
        database = Database(database_url)
        Engine.migrate(database)
        database.migrate()
        found.append(database.cluster_id())
        database.close()

    threads = [threading.Thread(target=migrate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1


def test_migrating_again_changes_nothing(database: Database) -> None:
    before = database.cluster_id()
    with database.read() as connection:
        revision = revision_of(connection)
    database.migrate()
    with database.read() as connection:
        assert revision_of(connection) == revision is not None
    assert database.cluster_id() == before


def test_a_database_that_was_made_anew_is_another(database: Database) -> None:
    before = database.cluster_id()
    database.migrate("base")
    database.migrate()
    assert database.cluster_id() != before


def test_waiting_ends_when_the_tables_are_there_and_says_what_is_missing_until_then(database_url: str) -> None:
    database = Database(database_url)
    with pytest.raises(WorkError, match="accord migrate"):
        database.wait(0)
    database.migrate()
    database.wait(0)
    assert database.is_migrated()
    database.close()


def test_whether_it_is_migrated_is_asked_of_the_database_alone(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert database.is_migrated()
    monkeypatch.setattr("alembic.script.ScriptDirectory.__init__", lambda *_: pytest.fail("the scripts are read again"))
    assert database.is_migrated()
    with database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0000'"))
    assert not database.is_migrated()


def test_waiting_says_that_nobody_answers() -> None:
    database = Database("postgresql://accord@127.0.0.1:1/none".replace("postgresql", "postgresql+psycopg"))
    with pytest.raises(WorkError, match="does not answer"):
        database.wait(0)
    database.close()

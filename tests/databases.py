"""Databases for tests: SQLite in the test's own folder, or one of its own on the server of TEST_DATABASE_URL.

To make the tables takes longer than most tests: they are made once in a template, and each test has a copy.
"""

import os
import shutil
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import make_url

SERVER = os.environ.get("TEST_DATABASE_URL", "")
_FILE = "accord.db"


@contextmanager
def fresh_url(folder: Path, template: str | None = None) -> Iterator[str]:
    """Yields the URL of a database that nobody else has; it is gone afterwards.

    Args:
        folder: where SQLite's file goes.
        template: the URL of one that it is to be a copy of, which nobody is connected to; unset, it is empty.
    """
    if not SERVER:
        file = folder / _FILE
        if template is not None:
            shutil.copyfile(template.removeprefix("sqlite:///"), file)
        yield f"sqlite:///{file}"
        return
    name = f"accord_{uuid.uuid4().hex[:12]}"
    url = make_url(SERVER).set(drivername="postgresql+psycopg")
    # Files are copied as they are: to write each of their blocks to the log as well takes longer.
    like = "" if template is None else f" TEMPLATE {make_url(template).database} STRATEGY FILE_COPY"
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}{like}"))
    try:
        yield url.set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(sa.text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        engine.dispose()


@contextmanager
def template_url(folder: Path) -> Iterator[str]:
    """Yields the URL of a database with all tables, for copies to be made of."""
    from app.jobs import Engine
    from app.storage import Database

    with fresh_url(folder) as url:
        database = Database(url)
        Engine.migrate(database)
        database.migrate()
        database.close()
        if not SERVER:  # what is in the log goes into the file, which is all that is copied
            connection = sqlite3.connect(folder / _FILE)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.close()
        yield url

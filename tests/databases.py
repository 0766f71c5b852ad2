"""Databases for tests: SQLite in the test's own folder, or a fresh one on the server of TEST_DATABASE_URL."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import make_url

SERVER = os.environ.get("TEST_DATABASE_URL", "")


@contextmanager
def fresh_url(folder: Path) -> Iterator[str]:
    """Yields the URL of a database that nobody else has, empty; it is gone afterwards."""
    if not SERVER:
        yield f"sqlite:///{folder / 'accord.db'}"
        return
    name = f"accord_{uuid.uuid4().hex[:12]}"
    url = make_url(SERVER).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    try:
        yield url.set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(sa.text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        engine.dispose()

"""A receiver, a clock, and a team."""

from collections.abc import Iterator

import pytest

from app.storage import Database
from app.teams import keys
from tests.webhooks.receiver import Clock, Receiver, listening


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with listening() as made:
        yield made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def team(database: Database) -> str:
    with database.write() as connection:
        return keys.ensure_team(database, connection, "ours")

"""What workers do beside jobs."""

import os
from pathlib import Path

import sqlalchemy as sa

from app.api.once import forget
from app.kinds import chores
from app.scoring.chores import keep_within
from app.storage.tables import idempotency
from tests.scoring.conftest import Desk


def test_the_store_is_kept_within_its_size(desk: Desk, folders: dict[str, Path]) -> None:
    side = desk.side(f"path:{folders['bert']}", "me")
    desk.compare(side, side)
    keep_within(desk.store, 0)
    assert len(list(desk.store.entries.glob("*/*"))) == 1  # it was used just now
    for manifest in desk.store.entries.glob("*/*/manifest.json"):
        os.utime(manifest, (0, 0))
    keep_within(desk.store, 0)
    assert not list(desk.store.entries.glob("*/*"))
    again = desk.compare(side, side)
    assert again["state"] == "succeeded"
    assert desk.count("accord_forward_items") == 64


def test_answers_are_forgotten_after_a_day(desk: Desk) -> None:
    database = desk.service.database
    with database.write() as connection:
        for key, hours in (("old", 25), ("young", 23)):
            connection.execute(
                idempotency.insert().values(
                    team_id="t",
                    key=key,
                    digest="",
                    status=201,
                    headers={},
                    body="",
                    created_at=database.now() - hours * 3600,
                )
            )
    assert forget(database) == 1
    with database.read() as connection:
        assert connection.execute(sa.select(idempotency.c.key)).scalars().all() == ["young"]


def test_every_chore_runs_on_an_empty_service(desk: Desk) -> None:
    service = desk.service
    made = chores(service.settings, service.database)(service.app.state.accord.ledger)
    assert len({chore.name for chore in made}) == len(made)
    for chore in made:
        chore.run()

"""Cancelling: queued or running, once, noted, by whoever may."""

import sqlalchemy as sa

from app.storage.tables import audit
from app.teams import keys
from tests.api.conftest import PATH, Things


def _notes(things: Things) -> int:
    asked = sa.select(sa.func.count()).where(audit.c.action == "comparison.cancel")
    with things.service.database.read() as connection:
        return int(connection.execute(asked).scalar_one())


def test_a_second_call_changes_nothing(things: Things) -> None:
    queued, running = things.make(), things.make()
    claim = things.claim(running)
    for job in (queued, running):
        first = things.service.client.post(f"{PATH}/{job}/cancel")
        assert (first.status_code, first.json()["status"]) == (202, "cancelled")
        assert first.json()["finished_at"].endswith("Z")
        assert things.service.client.post(f"{PATH}/{job}/cancel").json() == first.json()
    assert not things.ledger.publish(claim, {})
    assert _notes(things) == 2


def test_what_has_ended_stays_as_it_is(things: Things) -> None:
    job = things.make()
    things.finish(job)
    answer = things.service.client.post(f"{PATH}/{job}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (202, "succeeded")
    assert _notes(things) == 0


def test_a_reader_may_look_and_not_cancel(things: Things) -> None:
    _, key = keys.create(things.service.database, "default", "reader")
    job = things.make()
    headers = {"Authorization": f"Bearer {key}"}
    assert things.service.client.get(f"{PATH}/{job}", headers=headers).status_code == 200
    assert things.service.client.post(f"{PATH}/{job}/cancel", headers=headers).status_code == 403

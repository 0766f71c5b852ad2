"""A schedule's history is kept for so long, and its last success for as long as it is there."""

from typing import Any

import sqlalchemy as sa

from app.schedules.retention import forget
from app.storage.tables import schedule_runs
from tests.schedules.conftest import Desk

DAY = 24 * 3600.0


def test_old_runs_go_but_for_the_last_success(desk: Desk) -> None:
    schedule = desk.make()["id"]
    now = desk.service.database.moment()

    def enter(number: int, days: float, outcome: str) -> str:
        run = f"run_{number:026d}"
        moments: dict[str, Any] = {"due_at": now - days * DAY, "fired_at": now - days * DAY}
        if outcome not in ("started", "waiting"):
            moments["finished_at"] = now - days * DAY
        with desk.service.database.write() as connection:
            row = {"id": run, "schedule_id": schedule, "manual": False, "alerted": False, "outcome": outcome}
            connection.execute(schedule_runs.insert().values(**row, **moments))
        return run

    enter(1, 400, "succeeded")
    enter(2, 399, "failed")
    kept = [enter(3, 398, "succeeded"), enter(4, 397, "started"), enter(5, 10, "failed")]
    assert forget(desk.service.database, 365 * DAY) == 2
    with desk.service.database.read() as connection:
        left = connection.execute(sa.select(schedule_runs.c.id).order_by(schedule_runs.c.id)).scalars().all()
    assert left == kept
    enter(6, 0, "succeeded")
    assert forget(desk.service.database, 365 * DAY) == 1
    assert forget(desk.service.database, 365 * DAY) == 0

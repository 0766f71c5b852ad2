"""A schedule's history is kept for so long, and its last success for as long as it is there."""

from typing import Any

import sqlalchemy as sa

from app.schedules.retention import close, forget
from app.storage.tables import jobs, schedule_runs
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


def test_a_run_whose_job_ended_unheard_is_closed_and_the_schedule_goes_on(desk: Desk) -> None:
    schedule, other = desk.make(overlap="skip")["id"], desk.make(name="other", overlap="skip")["id"]
    client, database = desk.service.client, desk.service.database
    for one in (schedule, other):
        assert client.post(f"/v1/schedules/{one}/run").status_code == 202
    assert client.post(f"/v1/schedules/{schedule}/run").status_code == 409
    assert close(database) == 0
    (run,) = client.get(f"/v1/schedules/{schedule}/runs").json()["items"]
    with database.write() as connection:
        connection.execute(jobs.update().where(jobs.c.id == run["job"]).values(state="failed"))
    assert close(database) == 1
    assert close(database) == 0
    (run,) = client.get(f"/v1/schedules/{schedule}/runs").json()["items"]
    assert (run["outcome"], "see the job" in run["detail"]) == ("failed", True)
    assert client.post(f"/v1/schedules/{schedule}/run").status_code == 202
    assert client.post(f"/v1/schedules/{other}/run").status_code == 409

"""What is due runs, once: however many look, whoever dies, whatever was missed."""

import threading

import pytest
import sqlalchemy as sa

from app.schedules import firing as firing_module
from app.schedules.firing import LATE_SECONDS
from app.storage.tables import jobs
from app.teams import keys
from tests.schedules.conftest import COMPARISON, Desk


def test_it_runs_when_it_is_due_and_not_before(desk: Desk) -> None:
    made = desk.make()
    desk.tick(9)
    assert desk.jobs() == []
    desk.tick(1)
    (job,) = desk.jobs()
    (run,) = desk.runs(made["id"])
    assert (run["outcome"], run["job_id"], run["manual"], run["due_at"]) == ("started", job["id"], False, desk.clock.at)
    assert (job["kind"], job["state"]) == ("comparison", "queued")
    assert job["request"]["model_a"] == COMPARISON["model_a"]
    assert desk.row(made["id"])["next_at"] > desk.clock.at


def test_it_is_the_teams_and_goes_on_when_the_key_that_made_it_is_revoked(desk: Desk) -> None:
    database, client = desk.service.database, desk.service.client
    key_id, key = keys.create(database, "default", "runner")
    _, admin = keys.create(database, "default", "admin")
    client.headers["Authorization"] = f"Bearer {key}"
    made = desk.make()
    keys.revoke(database, key_id)
    assert client.get(f"/v1/schedules/{made['id']}").status_code == 401
    desk.tick()
    assert desk.outcomes(made["id"]) == ["started"]
    client.headers["Authorization"] = f"Bearer {admin}"
    noted = client.get("/v1/audit", params={"key": key_id, "action": "schedule.create"}).json()["items"]
    assert [entry["resource"] for entry in noted] == [made["id"]]
    assert client.delete(f"/v1/schedules/{made['id']}").status_code == 204


def test_many_workers_at_once_run_it_once(desk: Desk) -> None:
    made = [desk.make(name=f"s{number}") for number in range(5)]
    desk.clock.at += 10
    barrier = threading.Barrier(4)
    failures: list[BaseException] = []

    def work() -> None:
        firing = desk.firing()
        barrier.wait()
        try:
            for _ in range(3):
                firing.run()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [desk.outcomes(schedule["id"]) for schedule in made] == [["started"]] * 5
    assert len(desk.jobs()) == 5


@pytest.mark.parametrize("place", ["submit", "next_after"])
def test_a_worker_that_dies_half_way_leaves_it_to_be_run_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    made = desk.make()
    real = getattr(firing_module, place)

    def dies(*args: object) -> object:
        real(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(firing_module, place, dies)
    with pytest.raises(KeyboardInterrupt):
        desk.tick()
    assert desk.jobs() == []
    assert desk.runs(made["id"]) == []
    monkeypatch.setattr(firing_module, place, real)
    desk.tick(1)
    assert desk.outcomes(made["id"]) == ["started"]
    assert len(desk.jobs()) == 1


def test_a_defect_in_one_leaves_the_others(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    bad, good = desk.make(name="bad"), desk.make(name="good")
    real = firing_module.submit

    def submit(state: object, connection: object, schedule: object) -> object:
        if schedule["name"] == "bad":
            raise ValueError("a defect")
        return real(state, connection, schedule)

    monkeypatch.setattr(firing_module, "submit", submit)
    desk.tick()
    assert desk.outcomes(good["id"]) == ["started"]
    monkeypatch.setattr(firing_module, "submit", real)
    desk.tick(1)
    assert desk.outcomes(bad["id"]) == ["started"]


def test_what_was_missed_for_days_is_made_up_for_once(desk: Desk) -> None:
    made = desk.make(catch_up=True)
    desk.tick(5 * 24 * 3600)
    assert desk.outcomes(made["id"]) == ["started"]
    assert desk.row(made["id"])["next_at"] > desk.clock.at


def test_or_not_at_all_by_setting(desk: Desk) -> None:
    made = desk.make(catch_up=False)
    desk.tick(5 * 24 * 3600)
    (run,) = desk.runs(made["id"])
    assert run["outcome"] == "skipped"
    assert "no worker" in run["detail"]
    assert desk.jobs() == []
    desk.again(made["id"])
    assert desk.outcomes(made["id"]) == ["skipped", "started"]


def test_a_moment_late_is_not_missed(desk: Desk) -> None:
    made = desk.make(catch_up=False)
    desk.tick(10 + LATE_SECONDS)
    assert desk.outcomes(made["id"]) == ["started"]


def test_paused_it_rests_at_once_and_goes_on_when_next_due(desk: Desk) -> None:
    made = desk.make()
    paused = desk.service.client.patch(f"/v1/schedules/{made['id']}", json={"paused": True}).json()
    assert (paused["paused"], paused["next_at"]) == (True, None)
    desk.tick(1000)
    assert desk.runs(made["id"]) == []
    again = desk.service.client.patch(f"/v1/schedules/{made['id']}", json={"paused": False}).json()
    assert again["next_at"] is not None
    desk.again(made["id"])
    assert desk.outcomes(made["id"]) == ["started"]


def test_pausing_between_a_workers_look_and_its_step_is_in_time(desk: Desk) -> None:
    made = desk.make()
    desk.clock.at += 10
    firing = desk.firing()
    desk.service.client.patch(f"/v1/schedules/{made['id']}", json={"paused": True})
    assert desk.service.database.transact(lambda connection: firing._fire(connection, made["id"])) is False
    assert desk.jobs() == []


def test_run_by_hand_works_while_paused(desk: Desk) -> None:
    made = desk.make(paused=True)
    answer = desk.service.client.post(f"/v1/schedules/{made['id']}/run")
    assert answer.status_code == 202
    assert (answer.json()["outcome"], answer.json()["manual"]) == ("started", True)
    assert [job["id"] for job in desk.jobs()] == [answer.json()["job"]]
    assert desk.row(made["id"])["next_at"] is None


def test_what_can_no_longer_be_met_is_refused_and_the_schedule_lives_on(desk: Desk) -> None:
    client = desk.service.client
    model = client.post("/v1/models", json={"name": "mine", "source": {"type": "builtin", "id": "minilm-l6"}}).json()
    made = desk.make(comparison={**COMPARISON, "model_a": "mine"})
    assert client.delete(f"/v1/models/{model['id']}").status_code == 204
    desk.tick()
    (run,) = desk.runs(made["id"])
    assert run["outcome"] == "refused"
    assert "no model 'mine'" in run["detail"]
    assert run["finished_at"] == desk.clock.at
    client.post("/v1/models", json={"name": "mine", "source": {"type": "builtin", "id": "minilm-l6"}})
    desk.again(made["id"])
    assert desk.outcomes(made["id"]) == ["refused", "started"]


def test_overlap_skip_leaves_the_later_one_out(desk: Desk) -> None:
    made = desk.make(overlap="skip")
    desk.tick()
    desk.again(made["id"])
    assert desk.outcomes(made["id"]) == ["started", "skipped"]
    by_hand = desk.service.client.post(f"/v1/schedules/{made['id']}/run")
    assert by_hand.status_code == 409
    desk.end(desk.jobs()[0]["id"])
    desk.again(made["id"])
    assert desk.outcomes(made["id"]) == ["succeeded", "skipped", "started"]


def test_overlap_queue_has_each_wait_for_the_one_before(desk: Desk) -> None:
    made = desk.make(overlap="queue")
    desk.tick()
    desk.again(made["id"])
    desk.again(made["id"])
    assert desk.outcomes(made["id"]) == ["started", "waiting", "waiting"]
    assert len(desk.jobs()) == 1
    for count, outcomes in (
        (2, ["succeeded", "started", "waiting"]),
        (3, ["succeeded", "succeeded", "started"]),
    ):
        desk.end(desk.jobs()[-1]["id"])
        desk.tick(1)
        assert desk.outcomes(made["id"]) == outcomes
        assert len(desk.jobs()) == count


def test_what_waits_is_left_out_when_it_is_paused(desk: Desk) -> None:
    made = desk.make(overlap="queue")
    desk.tick()
    desk.again(made["id"])
    desk.service.client.post(f"/v1/schedules/{made['id']}/run")
    desk.service.client.patch(f"/v1/schedules/{made['id']}", json={"paused": True})
    assert desk.outcomes(made["id"]) == ["started", "skipped", "waiting"]  # the last was asked for by hand
    desk.end(desk.jobs()[-1]["id"])
    desk.tick(1)
    assert desk.outcomes(made["id"]) == ["succeeded", "skipped", "started"]


def test_waiting_has_an_end(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firing_module, "MOST_WAITING", 2)
    made = desk.make(overlap="queue")
    desk.tick()
    for _ in range(3):
        desk.again(made["id"])
    assert desk.outcomes(made["id"]) == ["started", "waiting", "waiting", "skipped"]


def test_overlap_replace_cancels_the_one_before(desk: Desk) -> None:
    made = desk.make(overlap="replace")
    desk.tick()
    desk.again(made["id"])
    first, second = desk.runs(made["id"])
    assert (first["outcome"], second["outcome"]) == ("cancelled", "started")
    assert "replace" in first["detail"]
    assert [job["state"] for job in desk.jobs()] == ["cancelled", "queued"]


def test_a_schedule_that_is_deleted_leaves_its_job_alone(desk: Desk) -> None:
    made = desk.make()
    desk.tick()
    assert desk.service.client.delete(f"/v1/schedules/{made['id']}").status_code == 204
    assert desk.runs(made["id"]) == []
    job = desk.jobs()[0]["id"]
    desk.end(job)
    with desk.service.database.read() as connection:
        assert connection.execute(sa.select(jobs.c.state).where(jobs.c.id == job)).scalar_one() == "succeeded"

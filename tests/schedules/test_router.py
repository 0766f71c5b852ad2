"""Schedules over HTTP: made, changed, listed, deleted; refused with a pointer to what is wrong."""

from typing import Any

import pytest
import sqlalchemy as sa

from app.storage.tables import audit, jobs, schedules
from app.teams import keys
from tests.schedules.conftest import COMPARISON, Desk


def bearer(desk: Desk, team: str, role: str = "runner") -> dict[str, str]:
    _, key = keys.create(desk.service.database, team, role)
    return {"Authorization": f"Bearer {key}"}


def test_a_schedule_is_shown_with_every_default_filled_in(desk: Desk) -> None:
    answer = desk.post(cron=" 30  2 * * * ", timezone="Europe/Berlin", alert={"metric": "mutual_knn", "below": 0.2})
    assert answer.status_code == 201
    made = answer.json()
    assert answer.headers["location"] == f"/v1/schedules/{made['id']}"
    assert desk.service.client.get(answer.headers["location"]).json() == made
    assert made["id"].startswith("sch_")
    assert (made["cron"], made["timezone"], made["paused"], made["catch_up"], made["overlap"], made["alerting"]) == (
        "30 2 * * *",
        "Europe/Berlin",
        False,
        True,
        "skip",
        False,
    )
    assert made["comparison"]["samples"] == 1024
    assert made["comparison"]["metrics"] == [{"name": "mutual_knn", "params": {"k": 10}}]
    assert made["alert"] == {"metric": "mutual_knn", "below": 0.2, "above": None, "drop": None, "webhook_url": None}
    assert made["next_at"].endswith(("T00:30:00Z", "T01:30:00Z"))


def test_making_one_queues_nothing(desk: Desk) -> None:
    desk.make()
    with desk.service.database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(jobs)).scalar_one() == 0
        actions = connection.execute(sa.select(audit.c.action)).scalars().all()
    assert actions == ["schedule.create"]  # and not that of the comparison that was tried


@pytest.mark.parametrize(
    ("changed", "pointer", "message"),
    [
        ({"cron": "* * * * * *"}, "/cron", "five fields"),
        ({"cron": "61 * * * *"}, "/cron", "bad minute"),
        ({"timezone": "Europe/Berln"}, "/timezone", "did you mean 'Europe/Berlin'"),
        ({"overlap": "both"}, "/overlap", "skip"),
        ({"name": ""}, "/name", "at least 1"),
        ({"crn": "0 0 * * *"}, "/crn", "did you mean 'cron'"),
        ({"comparison": {**COMPARISON, "model_a": "nobody"}}, "/comparison/model_a", "no model 'nobody'"),
        ({"comparison": {**COMPARISON, "probe": "builtin:nothing"}}, "/comparison/probe", "nothing"),
        ({"comparison": {**COMPARISON, "metrics": ["mutal_knn"]}}, "/comparison/metrics/0", "mutual_knn"),
        ({"comparison": {**COMPARISON, "modl_a": "x"}}, "/comparison/modl_a", "did you mean 'model_a'"),
        ({"comparison": {**COMPARISON, "samples": 5}}, "/comparison/metrics/0", "items"),
        ({"comparison": {**COMPARISON, "webhook_url": "http://10.0.0.1/"}}, "/comparison/webhook_url", "private"),
        ({"alert": {"metric": "mutual_knn"}}, "/alert", "one of below, above and drop"),
        ({"alert": {"metric": "mutual_knn", "below": 1, "above": 2}}, "/alert", "below and above"),
        ({"alert": {"metric": "cka", "below": 1}}, "/alert/metric", "mutual_knn"),
        ({"alert": {"metric": "mutual_knn", "drop": 0}}, "/alert/drop", "greater than 0"),
        ({"alert": {"metric": "mutual_knn", "below": 1, "webhook_url": "ftp://x/"}}, "/alert/webhook_url", "http"),
        (
            {"alert": {"metric": "mutual_knn", "below": 1, "webhook_url": "http://169.254.169.254/"}},
            "/alert/webhook_url",
            "private",
        ),
    ],
)
def test_what_cannot_be_met_is_refused_where_it_is_wrong(
    desk: Desk, changed: dict[str, Any], pointer: str, message: str
) -> None:
    made = desk.make(alert={"metric": "mutual_knn", "below": 0.5})
    for answer in (desk.post(**changed), desk.service.client.patch(f"/v1/schedules/{made['id']}", json=changed)):
        assert answer.status_code == 422, answer.text
        (error,) = answer.json()["errors"]
        assert error["pointer"] == pointer
        assert message in error["message"]
    assert desk.service.client.get(f"/v1/schedules/{made['id']}").json()["updated_at"] == made["updated_at"]


def test_what_is_missing_is_named(desk: Desk) -> None:
    answer = desk.service.client.post("/v1/schedules", json={})
    assert {"/name", "/cron"} == {error["pointer"] for error in answer.json()["errors"]}


def test_a_change_is_of_what_it_names(desk: Desk) -> None:
    made = desk.post(alert={"metric": "mutual_knn", "below": 0.2}).json()
    path = f"/v1/schedules/{made['id']}"
    changed = desk.service.client.patch(path, json={"name": "hourly", "cron": "0 * * * *"}).json()
    kept = {"alert", "comparison", "timezone", "paused", "catch_up", "overlap", "id", "created_at"}
    assert {name: changed[name] for name in kept} == {name: made[name] for name in kept}
    assert (changed["name"], changed["cron"]) == ("hourly", "0 * * * *")
    assert changed["next_at"] != made["next_at"] or changed["next_at"].endswith(":00:00Z")
    assert desk.service.client.patch(path, json={"alert": None}).json()["alert"] is None
    assert desk.service.client.patch(path, json={}).json()["name"] == "hourly"
    for name in ("name", "cron", "paused", "comparison"):
        answer = desk.service.client.patch(path, json={name: None})
        assert answer.status_code == 422, name
        assert answer.json()["errors"][0]["pointer"] == f"/{name}"


def test_a_change_of_what_is_compared_is_run_from_then_on(desk: Desk) -> None:
    made = desk.make(alert={"metric": "mutual_knn", "below": 0.5})
    path = f"/v1/schedules/{made['id']}"
    desk.found(made["id"], 0.2)
    assert desk.service.client.get(path).json()["alerting"] is True
    refused = desk.service.client.patch(path, json={"comparison": {**COMPARISON, "metrics": ["cka"]}})
    assert refused.json()["errors"][0]["pointer"] == "/alert/metric"  # what the alert is about would be gone
    changed = desk.service.client.patch(path, json={"comparison": {**COMPARISON, "samples": 64}}).json()
    assert (changed["comparison"]["samples"], changed["alerting"]) == (64, False)
    desk.again(made["id"])
    assert desk.jobs()[-1]["request"]["samples"] == 64


def test_the_key_of_an_alert_may_be_spelt_out(desk: Desk) -> None:
    metrics = ["cka", {"name": "cka", "params": {"kernel": "rbf"}}]
    for metric, key in (("cka", "cka"), ("cka:kernel=rbf", "cka:kernel=rbf")):
        answer = desk.post(comparison={**COMPARISON, "metrics": metrics}, alert={"metric": metric, "below": 0.5})
        assert answer.json()["alert"]["metric"] == key


def test_the_same_post_twice_is_one_schedule(desk: Desk) -> None:
    body = {"name": "nightly", "cron": "30 2 * * *", "comparison": COMPARISON}
    first, second = (
        desk.service.client.post("/v1/schedules", json=body, headers={"Idempotency-Key": "k"}) for _ in range(2)
    )
    assert first.json() == second.json()
    runs = [
        desk.service.client.post(f"/v1/schedules/{first.json()['id']}/run", headers={"Idempotency-Key": "r"}).json()
        for _ in range(2)
    ]
    assert runs[0] == runs[1]
    assert len(desk.jobs()) == 1


def test_another_teams_is_not_there(desk: Desk) -> None:
    ours, theirs = bearer(desk, "a"), bearer(desk, "b", "admin")
    body = {"name": "nightly", "cron": "30 2 * * *", "comparison": COMPARISON}
    made = desk.service.client.post("/v1/schedules", json=body, headers=ours).json()
    path = f"/v1/schedules/{made['id']}"
    for method, where, given in (
        ("GET", path, None),
        ("PATCH", path, {"paused": True}),
        ("DELETE", path, None),
        ("POST", f"{path}/run", None),
        ("GET", f"{path}/runs", None),
        ("GET", "/v1/schedules/sch_x", None),
    ):
        answer = desk.service.client.request(method, where, json=given, headers=theirs)
        assert answer.status_code == 404, (method, where)
    assert desk.service.client.get("/v1/schedules", headers=theirs).json()["items"] == []
    assert desk.service.client.get(path, headers=ours).json() == made


def test_roles(desk: Desk) -> None:
    maker, other, reader, admin = (bearer(desk, "a", role) for role in ("runner", "runner", "reader", "admin"))
    body = {"name": "nightly", "cron": "30 2 * * *", "comparison": COMPARISON}
    client = desk.service.client
    assert client.post("/v1/schedules", json=body, headers=reader).status_code == 403
    made = [client.post("/v1/schedules", json=body, headers=maker).json()["id"] for _ in range(2)]
    assert client.get(f"/v1/schedules/{made[0]}", headers=reader).status_code == 200
    assert client.patch(f"/v1/schedules/{made[0]}", json={"paused": True}, headers=reader).status_code == 403
    assert client.post(f"/v1/schedules/{made[0]}/run", headers=reader).status_code == 403
    assert client.patch(f"/v1/schedules/{made[0]}", json={"paused": True}, headers=other).status_code == 200
    assert client.delete(f"/v1/schedules/{made[0]}", headers=other).status_code == 403
    assert client.delete(f"/v1/schedules/{made[0]}", headers=maker).status_code == 204
    assert client.delete(f"/v1/schedules/{made[1]}", headers=admin).status_code == 204


def test_a_run_acts_as_the_team_and_notes_the_key(desk: Desk) -> None:
    headers = bearer(desk, "a")
    body = {"name": "nightly", "cron": "30 2 * * *", "comparison": COMPARISON}
    made = desk.service.client.post("/v1/schedules", json=body, headers=headers).json()
    desk.again(made["id"])
    (job,) = desk.jobs()
    row = desk.row(made["id"])
    assert job["team_id"] == row["team_id"]
    with desk.service.database.read() as connection:
        noted = connection.execute(sa.select(audit).where(audit.c.action == "comparison.create")).mappings().one()
    assert (noted["key_id"], noted["resource"]) == (row["key_id"], job["id"])


def test_lists_are_paged_and_filtered(desk: Desk) -> None:
    other = {**COMPARISON, "model_b": "builtin:minilm-l6"}
    made = [
        desk.make(name="a")["id"],
        desk.make(name="b", paused=True)["id"],
        desk.make(name="c", comparison=other)["id"],
    ]
    client = desk.service.client

    def ids(query: str) -> list[str]:
        return [item["id"] for item in client.get(f"/v1/schedules{query}").json()["items"]]

    assert ids("") == made[::-1]
    assert ids("?status=paused") == [made[1]]
    assert ids("?status=active") == [made[2], made[0]]
    assert ids("?model=builtin:minilm-l3") == [made[1], made[0]]
    assert ids("?model=nobody") == []
    assert ids("?team=default") == made[::-1]
    assert ids("?team=other") == []
    first = client.get("/v1/schedules?limit=2").json()
    assert ids(f"?limit=2&cursor={first['next_cursor']}") == [made[0]]
    assert client.get("/v1/schedules?model=%00").status_code == 422


def test_runs_are_paged_and_filtered(desk: Desk) -> None:
    made = desk.make()
    desk.found(made["id"], 0.1, 0.2)
    desk.again(made["id"])
    path = f"/v1/schedules/{made['id']}/runs"
    outcomes = [run["outcome"] for run in desk.service.client.get(path).json()["items"]]
    assert outcomes == ["started", "succeeded", "succeeded"]
    page = desk.service.client.get(f"{path}?limit=1&status=succeeded").json()
    assert page["items"][0]["scores"]["mutual_knn"]["score"] == 0.2
    rest = desk.service.client.get(f"{path}?limit=1&status=succeeded&cursor={page['next_cursor']}").json()
    assert rest["items"][0]["scores"]["mutual_knn"]["score"] == 0.1
    assert rest["next_cursor"] is None


def test_a_limit_that_was_lowered_since_refuses_the_run_and_not_the_schedule(desk: Desk) -> None:
    made = desk.make()
    with desk.service.database.write() as connection:
        connection.execute(schedules.update().values(request={**COMPARISON, "samples": 10**9}))
    desk.tick()
    (run,) = desk.runs(made["id"])
    assert run["outcome"] == "refused"
    assert "at most" in run["detail"]

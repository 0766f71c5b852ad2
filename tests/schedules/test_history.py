"""What came of each run is kept, and who asked to be told is told once a crossing."""

import json
from typing import Any

import pytest

from tests.schedules.conftest import Desk

URL = "https://93.184.216.34/hook"


def alert(**rule: Any) -> dict[str, Any]:
    return {"metric": "mutual_knn", "webhook_url": URL, **rule}


def test_a_success_keeps_its_scores_and_what_was_measured(desk: Desk) -> None:
    made = desk.make()
    for commit, score in (("c1", 0.31), ("c2", 0.42)):
        desk.again(made["id"])
        desk.end(desk.jobs()[-1]["id"], score, commit=commit)
    newest, oldest = desk.service.client.get(f"/v1/schedules/{made['id']}/runs").json()["items"]
    assert oldest["scores"] == {
        "mutual_knn": {
            "score": 0.31,
            "calibrated": 0.25,
            "p_value": 0.005,
            "layer_a": "layer.5",
            "layer_b": "layer.2",
        }
    }
    assert newest["scores"]["mutual_knn"]["score"] == 0.42
    assert oldest["models"]["a"] == {
        "id": "mdl_1",
        "name": "moving",
        "reference": "hf:org/moving@c1",
        "commit": "c1",
        "fingerprint": "f-c1",
    }
    assert newest["models"]["a"]["commit"] == "c2"
    assert newest["models"]["b"]["commit"] is None
    assert newest["finished_at"].endswith("Z")
    assert (newest["outcome"], newest["detail"], newest["alerted"]) == ("succeeded", None, False)


def test_a_failure_says_why_and_a_cancelled_one_that(desk: Desk) -> None:
    made = desk.make()
    desk.tick()
    desk.end(desk.jobs()[-1]["id"], error="take fewer samples")
    desk.again(made["id"])
    desk.service.client.post(f"/v1/comparisons/{desk.jobs()[-1]['id']}/cancel")
    first, second = desk.runs(made["id"])
    assert (first["outcome"], first["detail"]) == ("failed", "take fewer samples")
    assert second["outcome"] == "cancelled"
    assert second["finished_at"] is not None


@pytest.mark.parametrize(
    ("rule", "scores", "told"),
    [
        ({"below": 0.3}, [0.5, 0.2, 0.1, 0.4, 0.2], [0.2, 0.2]),
        ({"below": 0.3}, [0.3], []),
        ({"above": 0.6}, [0.7, 0.8, 0.6, 0.7], [0.7, 0.7]),
        ({"drop": 0.1}, [0.5, 0.45, 0.3, 0.1, 0.1, 0.4, 0.2], [0.3, 0.2]),
        ({"drop": 0.1}, [0.5, None, 0.3], [0.3]),  # held against the last that has a score
        ({"below": 0.3}, [0.2, None, 0.2], [0.2]),  # no score is no crossing back
        ({"below": 0}, [-0.1], [-0.1]),
    ],
)
def test_an_alert_is_told_once_a_crossing(
    desk: Desk, rule: dict[str, float], scores: list[float | None], told: list[float]
) -> None:
    made = desk.make(alert=alert(**rule))
    desk.found(made["id"], *scores)
    bodies = [json.loads(row["body"]) for row in desk.deliveries()]
    assert [body["score"] for body in bodies] == told
    runs = [run["scores"]["mutual_knn"]["score"] for run in desk.runs(made["id"]) if run["alerted"]]
    assert runs == told


def test_an_alert_says_what_and_where(desk: Desk) -> None:
    made = desk.make(alert=alert(drop=0.1))
    desk.found(made["id"], 0.5, 0.2)
    (row,) = desk.deliveries()
    run = desk.runs(made["id"])[-1]
    body = json.loads(row["body"])
    assert (row["event"], row["url"]) == ("schedule.alert", URL)
    assert body.pop("finished_at").endswith("Z")
    assert body == {
        "event": "schedule.alert",
        "id": made["id"],
        "name": "nightly",
        "run": run["id"],
        "job": run["job_id"],
        "url": f"/v1/comparisons/{run['job_id']}",
        "metric": "mutual_knn",
        "score": 0.2,
        "previous": 0.5,
        "drop": 0.1,
    }
    assert desk.service.client.get(f"/v1/schedules/{made['id']}").json()["alerting"] is True


def test_an_alert_without_an_address_is_noted_alone(desk: Desk) -> None:
    made = desk.make(alert={"metric": "mutual_knn", "below": 0.5})
    desk.found(made["id"], 0.2)
    assert desk.deliveries() == []
    assert desk.runs(made["id"])[0]["alerted"]


def test_what_failed_is_no_crossing(desk: Desk) -> None:
    made = desk.make(alert=alert(below=0.5))
    desk.found(made["id"], 0.2)
    desk.again(made["id"])
    desk.end(desk.jobs()[-1]["id"], error="no")
    desk.found(made["id"], 0.2)
    assert len(desk.deliveries()) == 1


def test_an_alert_that_is_changed_begins_anew(desk: Desk) -> None:
    made = desk.make(alert=alert(drop=0.1))
    desk.found(made["id"], 0.9)
    desk.set(made["id"], alert={**desk.row(made["id"])["alert"], "since": desk.clock.at + 1})  # as a change does
    desk.found(made["id"], 0.5, 0.1)
    assert [json.loads(row["body"])["previous"] for row in desk.deliveries()] == [0.5]


def test_the_comparisons_own_webhook_is_sent_too(desk: Desk) -> None:
    comparison = {"model_a": "builtin:minilm-l6", "model_b": "builtin:minilm-l6", "probe": "builtin:emoji"}
    made = desk.make(comparison={**comparison, "webhook_url": URL}, alert=alert(below=0.5))
    desk.found(made["id"], 0.2)
    assert [row["event"] for row in desk.deliveries()] == ["schedule.alert", "comparison.succeeded"]


STUDY = {"models": ["builtin:minilm-l6", "builtin:minilm-l3"], "probe": "builtin:emoji"}


def test_a_study_is_repeated_likewise(desk: Desk) -> None:
    answer = desk.post(comparison=None, study=STUDY, alert=alert(below=0.3))
    made = answer.json()
    assert answer.status_code == 201, answer.text
    assert (made["comparison"], made["study"]["models"]) == (None, STUDY["models"])
    desk.again(made["id"])
    (job,) = desk.jobs()
    assert job["kind"] == "study"
    side = {
        "id": "builtin:minilm-l6",
        "name": "builtin:minilm-l6",
        "reference": "builtin:minilm-l6",
        "fingerprint": "f",
    }
    matrix = {"key": "mutual_knn", "matrix": [[1.0, 0.2], [0.2, 1.0]], "calibrated": None}
    found = {"metrics": [matrix], "provenance": {"models": {"one": side, "two": side}}}
    claim = desk.state.ledger.claim(job["id"], "wrk_hand")
    assert desk.state.ledger.publish(claim, found)
    (run,) = desk.runs(made["id"])
    assert run["scores"]["mutual_knn"] == {
        "score": 0.2,
        "calibrated": None,
        "p_value": None,
        "layer_a": None,
        "layer_b": None,
    }
    assert set(run["models"]) == {"one", "two"}
    (told,) = desk.deliveries()
    assert json.loads(told["body"])["url"] == f"/v1/studies/{job['id']}"
    items = desk.service.client.get("/v1/schedules?model=builtin:minilm-l3").json()["items"]
    assert [item["id"] for item in items] == [made["id"]]
    assert desk.service.client.get("/v1/schedules?model=builtin:minilm").json()["items"] == []


def test_one_thing_is_repeated(desk: Desk) -> None:
    for changed in ({"study": STUDY}, {"comparison": None}):
        answer = desk.post(**changed)
        assert answer.status_code == 422
        assert "not both" in answer.text
    made = desk.make()
    path = f"/v1/schedules/{made['id']}"
    changed = desk.service.client.patch(path, json={"study": STUDY}).json()
    assert (changed["comparison"], changed["study"]["probe"]) == (None, "builtin:emoji")
    wrong = desk.service.client.patch(path, json={"study": {**STUDY, "models": ["builtin:minilm-l6", "nobody"]}})
    assert wrong.json()["errors"][0]["pointer"] == "/study/models/1"

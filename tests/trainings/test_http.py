"""Trainings over HTTP: no recipe is installed yet, and what there may be is shown as every job is."""

from typing import Any

import pytest

from app.jobs import Handler, NewJob
from app.storage.tables import jobs, teams
from tests.service import Service

PATH = "/v1/trainings"


def test_no_recipe_is_installed(service: Service) -> None:
    assert service.client.get(f"{PATH}/recipes").json() == {"items": [], "next_cursor": None}


@pytest.mark.parametrize("recipe", ["linear", "mlp", "transformer"])
def test_a_training_is_refused_and_told_why(service: Service, recipe: str) -> None:
    answer = service.client.post(PATH, json={"recipe": recipe, "data": "builtin:teacher"})
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["pointer"] == "/recipe"
    assert "none is installed in this release" in error["message"]
    with service.database.read() as connection:
        assert connection.execute(jobs.select()).all() == []


@pytest.mark.parametrize(
    ("change", "pointer"),
    [({"stepz": 3}, "/stepz"), ({"steps": 0}, "/steps"), ({"objective": "x"}, "/objective"), ({"data": ""}, "/data")],
)
def test_a_wrong_field_is_pointed_at(service: Service, change: dict[str, Any], pointer: str) -> None:
    answer = service.client.post(PATH, json={"recipe": "linear", "data": "d", **change})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


def test_one_is_listed_shown_followed_and_cancelled(service: Service) -> None:
    ledger = service.app.state.accord.ledger
    ledger.handlers["training"] = Handler("training", "nowhere:work")
    with service.database.write() as connection:
        team = connection.execute(teams.select()).mappings().one()["id"]
        made = ledger.submit(connection, NewJob("training", team, "score", {"recipe": "linear"}, {}))["id"]
    assert made.startswith("trn_")
    assert [item["id"] for item in service.client.get(PATH).json()["items"]] == [made]
    assert service.client.get(f"{PATH}/{made}").json()["request"] == {"recipe": "linear"}
    assert service.client.get(f"/v1/studies/{made}").status_code == 404
    assert service.client.post(f"{PATH}/{made}/cancel").json()["status"] == "cancelled"
    assert "event: cancelled" in service.client.get(f"{PATH}/{made}/events").text

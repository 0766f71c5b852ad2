"""What is wrong with a body is said briefly, however much of it is wrong: no request costs far more than it is long."""

import difflib
from typing import Any

import pytest

from tests.service import Service

SOUND = {"model_a": "a", "model_b": "b", "probe": "p"}


@pytest.mark.parametrize(
    "body",
    [
        {**SOUND, **{f"x{number}": 0 for number in range(60_000)}},
        {**SOUND, "metrics": [0] * 60_000},
        {**SOUND, "layers": {"a": ["x"] * 60_000}},
    ],
    ids=["fields", "metrics", "layers"],
)
def test_a_body_of_too_many_values_is_refused_before_it_is_read(steady: Service, body: dict[str, Any]) -> None:
    answer = steady.client.post("/v1/comparisons", json=body)
    assert answer.status_code == 413
    assert "50,000 values" in answer.json()["detail"]


def test_fields_that_mean_nothing_are_looked_up_a_few_at_most(steady: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    find = difflib.get_close_matches

    def counted(name: str, *arguments: Any, **options: Any) -> Any:
        looked.append(name)
        return find(name, *arguments, **options)

    monkeypatch.setattr(difflib, "get_close_matches", counted)
    body = {**SOUND, "metrcs": [], "y" * 1_000_000: 0, **{f"x{number}": 0 for number in range(40_000)}}
    answer = steady.client.post("/v1/comparisons", json=body)
    errors = answer.json()["errors"]
    assert answer.status_code == 422
    assert errors[0] == {"pointer": "/metrcs", "message": "there is no field 'metrcs'; did you mean 'metrics'?"}
    assert errors[-1] == {"pointer": "", "message": "there are 39992 further fields that mean nothing"}
    assert (len(errors), len(looked)) == (11, 9)  # not the one that is longer than any name
    assert len(answer.content) < 10_000


@pytest.mark.parametrize(
    ("path", "field", "said"),
    [
        ("/v1/trainings", "device", "the fields are: recipe, data, view_a"),  # and not view_b
        ("/v1/trainings", "layers", "the fields are: recipe"),  # and not labels
        ("/v1/trainings", "view", "did you mean 'view_"),
        ("/v1/comparisons", "modela", "did you mean 'model_a'?"),
    ],
)
def test_what_is_guessed_is_near(steady: Service, path: str, field: str, said: str) -> None:
    (error,) = steady.client.post(path, json={**(SOUND if "comp" in path else {"recipe": "mlp"}), field: 1}).json()[
        "errors"
    ]
    assert said in error["message"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/comparisons", {**SOUND, "metrics": [0] * 40_000}),
        ("/v1/comparisons", {**SOUND, "metrics": [{}] * 900}),
        ("/v1/comparisons", {**SOUND, "metrics": [{"name": "cka", "params": {"x" * 2_000_000: 0}}]}),
        ("/v1/comparisons", {**SOUND, "pooling": "x" * 2_000_000}),
        ("/v1/studies", {"models": ["a", "b"], "probe": "p", "capability": {f"m{n}": "x" for n in range(20_000)}}),
        ("/v1/models", {"name": "n", "source": {"type": "x" * 2_000_000}}),
        ("/v1/probes", {"name": "n", "source": {"type": "builtin", "id": "x", "y" * 2_000_000: 0}}),
    ],
)
def test_a_wrong_body_gets_a_short_answer(steady: Service, path: str, body: dict[str, Any]) -> None:
    answer = steady.client.post(path, json=body)
    assert answer.status_code == 422
    assert 0 < len(answer.json()["errors"]) <= 50
    assert len(answer.content) < 20_000


def test_the_number_of_wrong_fields_is_said_though_not_all_are_shown(steady: Service) -> None:
    answer = steady.client.post("/v1/comparisons", json={**SOUND, "metrics": [{}] * 900})
    assert answer.json()["detail"] == "900 fields are wrong; see errors, which has the first 50"


def test_a_body_that_is_not_said_to_be_json_is_told_how_to_be_sent(steady: Service) -> None:
    answer = steady.client.post("/v1/comparisons", content=b'{"model_a": "a"}', headers={"Content-Type": "text/plain"})
    assert answer.status_code == 415
    assert answer.json()["detail"] == "the body is not said to be JSON; send it as application/json"

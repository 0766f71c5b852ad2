"""Trainings over HTTP: what can be asked for is listed, what cannot be done is refused, defaults are shown."""

import io
import zipfile
from collections.abc import Callable
from typing import Any

import anyio
import numpy as np
import pytest

from alignment.entropic.classroom import Classroom
from alignment.entropic.recipes import RECIPES
from alignment.probes import ProbeSet, load_probe
from app.jobs.executor import LocalExecutor, Order, Run
from app.probes.reader import PRELOAD, Reader
from app.storage.tables import audit, jobs, probes
from app.teams.principal import Principal
from app.trainings import filling
from app.trainings.schemas import NewTraining
from app.trainings.service import plan
from tests.service import Service
from tests.trainings.conftest import PATH, Gym

Rows = Callable[..., dict[str, np.ndarray]]


def test_the_catalogue_is_the_sciences_table_with_its_defaults(steady: Service) -> None:
    items = steady.client.get(f"{PATH}/recipes").json()["items"]
    assert [item["name"] for item in items] == list(RECIPES)
    linear = items[0]
    assert linear["defaults"]["entropic"]["optimizer"] == "lbfgs"
    assert linear["defaults"]["plain"] == {
        "data": "builtin:factorial",
        "view_a": "linear",
        "view_b": "linear",
        "strength": None,
        "weight_decay": 0.0,
        "optimizer": "gd",
        "steps": 20_000,
        "labels": "true",
        "estimator": "ghost_norm",
        "task": "numbers",
    }
    for item in items:
        facts = RECIPES[item["name"]].facts
        assert (item["probe_sets"], item["views"]) == (facts.rows, list(facts.views))
        assert item["evidence"] == facts.evidence


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_request_is_shown_with_every_default_and_taken_again(service: Service, recipe: str) -> None:
    shown = service.client.post(PATH, json={"recipe": recipe}).json()["request"]
    (item,) = [i for i in service.client.get(f"{PATH}/recipes").json()["items"] if i["name"] == recipe]
    assert {name: shown[name] for name in item["defaults"]["entropic"]} == item["defaults"]["entropic"]
    again = service.client.post(PATH, json=shown)
    assert (again.status_code, again.json()["request"]) == (202, shown)


@pytest.mark.parametrize(
    ("change", "pointer", "said"),
    [
        ({"stepz": 3}, "/stepz", "did you mean 'steps'"),
        ({"steps": 0}, "/steps", "greater than or equal to 1"),
        ({"steps": 1_000_001}, "/steps", "at most 1000000"),
        ({"objective": "x"}, "/objective", "'plain' or 'entropic'"),
        ({"data": ""}, "/data", "at least 1 character"),
        ({"strength": 0}, "/strength", "greater than 0"),
        ({"recipe": "lineal"}, "/recipe", "did you mean 'linear'"),
        ({"data": "builtin:digits"}, "/data", "it has builtin:factorial"),
        ({"data": "no-such-set"}, "/data", "there is no probe set 'no-such-set'"),
        ({"view_a": "rotation"}, "/view_a", "'linear' alone"),
        ({"recipe": "mlp", "view_b": "rotaton"}, "/view_b", "did you mean 'rotation'"),
        ({"recipe": "mlp", "view_b": "noise:-1"}, "/view_b", "another number"),
        (
            {"recipe": "mlp", "view_a": "rotation", "optimizer": "sgd", "data": "builtin:digits"},
            "/optimizer",
            "by adam",
        ),
        ({"recipe": "mlp", "labels": "sampled"}, "/labels", "labels true"),
        ({"recipe": "mlp", "task": "masked"}, "/task", "make the task numbers, not masked"),
        ({"task": "category"}, "/task", "'numbers' alone"),
        ({"recipe": "transformer", "task": "masked", "labels": "sampled"}, "/labels", "or task category"),
        ({"optimizer": "gd"}, "/optimizer", "no entropy"),
        ({"objective": "plain", "strength": 0.5}, "/strength", "leave it out"),
    ],
)
def test_what_cannot_be_done_is_pointed_at_and_nothing_is_queued(
    steady: Service, change: dict[str, Any], pointer: str, said: str
) -> None:
    answer = steady.client.post(PATH, json={"recipe": "linear", **change})
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["pointer"] == pointer
    assert said in error["message"]
    with steady.database.read() as connection:
        assert connection.execute(jobs.select()).all() == []


def test_a_probe_set_that_cannot_be_learnt_is_refused_by_its_name(gym: Gym, rows: Rows) -> None:
    gym.probe("bare", x=rows()["x"])
    gym.probe("few", **rows(20))
    gym.probe("wide", **rows(40, 5))
    gym.probe("many", x=rows()["x"], target=np.arange(80))
    gym.upload("words", b"".join(b"word %d\n" % i for i in range(50)), "txt")
    said = {
        "bare": "'bare' has no targets",
        "few": "too few",
        "many": "fewer classes",
        "words": "holds text items",
    }
    for name, part in said.items():
        pointer, message = gym.refused(recipe="mlp", data=name, steps=10)
        assert pointer == "/data"
        assert part in message
        assert str(gym.folder) not in message
    pointer, message = gym.refused(recipe="mlp", data="wide", view_b="rotation", steps=10)
    assert (pointer, "no square images" in message) == ("/view_b", True)
    pointer, message = gym.refused(recipe="linear", data="wide")
    assert (pointer, "builtin:factorial" in message) == ("/data", True)


def test_a_probe_set_with_targets_is_learnt(gym: Gym, rows: Rows) -> None:
    made = gym.probe("tidy", **rows(classes=True))
    found = gym.train(recipe="mlp", data="tidy", steps=200, strength=1e-4)
    assert found["error"] is None
    assert found["request"]["data"] == "tidy"
    assert found["request"]["labels"] == "sampled"  # what the recipe has where targets are classes
    assert found["result"]["task"]["a"]["accuracy"] > 0.7
    sha = gym.service.client.get(f"/v1/probes/{made}").json()["sha256"]
    assert found["result"]["provenance"]["probe_sha256"] == sha
    assert found["result"]["provenance"]["request"] == found["request"]
    assert str(gym.folder) not in str(found)


def test_a_probe_set_is_read_once_and_beside_the_api(gym: Gym, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is wrong with the request, one process reads the file, one time."""
    gym.probe("tidy", **rows())
    orders, read = list[Order](), list[str]()
    orders, read = list[Order](), list[str]()
    start = gym.service.app.state.reader._executor.start

    def noted(text: str) -> ProbeSet:
        read.append(text)
        return load_probe(text)

    def started(order: Order) -> Run:
        orders.append(order)
        monkeypatch.setattr("alignment.entropic.rows.load_probe", noted)
        try:
            run: Run = start(order)
        finally:
            monkeypatch.setattr("alignment.entropic.rows.load_probe", None)  # the API itself reads nothing
        return run

    monkeypatch.setattr("alignment.entropic.rows.load_probe", None)
    monkeypatch.setattr(gym.service.app.state.reader._executor, "start", started, raising=False)
    assert gym.ask(recipe="mlp", data="tidy", steps=10).status_code == 202
    wrong = {"view_a": "rotation", "view_b": "noise:0.2", "weight_decay": 0.1, "steps": 9, "labels": "sampled"}
    assert gym.refused(recipe="mlp", data="tidy", **wrong)[0] == "/labels"
    assert [order.memory > 0 for order in orders] == [True, True]
    assert len(read) == 2


def test_what_takes_too_much_memory_to_plan_is_refused(gym: Gym, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    gym.probe("tidy", **rows())

    def full(name: str, seed: int) -> Classroom:
        raise MemoryError

    monkeypatch.setattr(filling, "classroom", full)
    pointer, message = gym.refused(recipe="mlp", data="tidy", steps=10)
    assert (pointer, "'tidy' takes more than 4096 MiB" in message) == ("/data", True)


def test_targets_that_are_damaged_are_pointed_at(gym: Gym) -> None:
    for how in ("huge", "torn"):
        out = io.BytesIO(_npz(x=np.eye(40)))
        with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("y.npy", _npy(np.ones((40, 2)), claimed=(40, 2**45) if how == "huge" else (40, 2)))
            at = archive.getinfo("y.npy").header_offset + 60
        content = out.getvalue()
        gym.upload(how, content if how == "huge" else content[:at] + b"\7\7\7\7\7\7" + content[at + 6 :])
        pointer, message = gym.refused(recipe="mlp", data=how, steps=10)
        assert (pointer, f"'{how}': 'y' cannot be read" in message) == ("/data", True), message
        assert str(gym.folder) not in message


def test_a_file_of_a_size_that_counts_is_planned_in_a_process(gym: Gym, rows: Rows) -> None:
    """The real process, with the least memory that an operator may give."""
    made = gym.probe("tidy", **rows())
    with gym.service.database.read() as connection:
        row = connection.execute(probes.select().where(probes.c.id == made)).mappings().one()
    settings = gym.service.settings.model_copy(update={"max_reading_mib": 256})
    reader = Reader(settings, LocalExecutor(PRELOAD))
    body = NewTraining(recipe="mlp", data="tidy", steps=10)
    principal = Principal("team", "default", "runner", None)
    planned = anyio.run(plan, reader, principal, body, row)
    assert (planned.request.data, planned.request.optimizer) == (row["reference"], "adam")


def test_a_probe_sets_name_goes_before_a_built_in_one_and_another_teams_is_not_there(gym: Gym, rows: Rows) -> None:
    assert gym.ask(recipe="mlp", data="teacher", steps=10).json()["request"]["data"] == "builtin:teacher"
    gym.probe("teacher", **rows())
    assert gym.ask(recipe="mlp", data="teacher", steps=10).json()["request"]["data"] == "teacher"
    other = gym.key("other", "runner")
    assert gym.ask(other, recipe="mlp", data="teacher", steps=10).json()["request"]["data"] == "builtin:teacher"


def test_one_is_queued_once_noted_listed_and_counted(gym: Gym) -> None:
    once = {"Idempotency-Key": "k"}
    first, again = gym.ask(once), gym.ask(once)
    assert first.json()["id"] == again.json()["id"]
    assert again.headers["Idempotent-Replay"] == "true"
    assert gym.ask(once, seed=9).status_code == 409
    assert gym.service.client.get("/v1/me").json()["use"]["queued"] == 1
    assert [item["id"] for item in gym.service.client.get(PATH).json()["items"]] == [first.json()["id"]]
    with gym.service.database.read() as connection:
        noted = connection.execute(audit.select().where(audit.c.action == "training.create")).mappings().all()
    assert [row["resource"] for row in noted] == [first.json()["id"]]


def test_the_first_answer_comes_again_whatever_became_of_its_data(gym: Gym, rows: Rows) -> None:
    made = gym.probe("tidy", **rows())
    asked = {"recipe": "mlp", "data": "tidy", "steps": 10}
    once = {"Idempotency-Key": "k"}
    first = gym.ask(once, **asked)
    assert gym.service.client.delete(f"/v1/probes/{made}").status_code == 204
    again = gym.ask(once, **asked)
    assert (again.status_code, again.content) == (202, first.content)
    assert again.headers["Idempotent-Replay"] == "true"
    assert again.headers["Location"] == first.headers["Location"]
    assert gym.ask(once, **{**asked, "steps": 11}).status_code == 409
    assert gym.ask({"Idempotency-Key": "other"}, **asked).status_code == 422


def test_a_team_has_no_more_than_it_may(gym: Gym, monkeypatch: pytest.MonkeyPatch) -> None:
    state = gym.service.app.state.accord
    object.__setattr__(state, "settings", state.settings.model_copy(update={"max_queued": 1}))
    assert gym.ask().status_code == 202
    full = gym.ask()
    assert (full.status_code, "Retry-After" in full.headers) == (429, True)


def test_one_is_cancelled_and_another_teams_is_not_there(gym: Gym) -> None:
    made = gym.ask().json()["id"]
    mine = gym.key("default", "runner")
    other = gym.key("other", "admin")
    client = gym.service.client
    for method, path in (("get", ""), ("post", "/cancel"), ("get", "/events"), ("get", "/probe")):
        assert client.request(method, f"{PATH}/{made}{path}", headers=other).status_code == 404
    assert client.get(f"{PATH}/{made}/probe", headers=mine).status_code == 409
    assert client.get(f"/v1/studies/{made}", headers=mine).status_code == 404
    assert client.post(f"{PATH}/{made}/cancel", headers=mine).json()["status"] == "cancelled"
    assert "event: cancelled" in client.get(f"{PATH}/{made}/events", headers=mine).text
    assert gym.service.work_off() == 0


def test_a_probe_set_is_kept_for_the_training_that_learns_from_it(gym: Gym, rows: Rows) -> None:
    upload = gym.service.client.post("/v1/uploads", files={"file": ("r.npz", _npz(**rows()))}).json()["id"]
    source = {"type": "upload", "upload": upload}
    probe = gym.service.client.post("/v1/probes", json={"name": "r", "source": source}).json()["id"]
    gym.ask(recipe="mlp", data="r", steps=10)
    assert gym.service.client.delete(f"/v1/probes/{probe}").status_code == 204
    assert gym.service.client.delete(f"/v1/uploads/{upload}").status_code == 409
    gym.service.work_off()
    (item,) = gym.service.client.get(PATH).json()["items"]
    assert item["status"] == "succeeded"
    assert gym.service.client.delete(f"/v1/uploads/{upload}").status_code == 204


def _npy(array: np.ndarray, claimed: tuple[int, ...]) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": array.dtype.str, "fortran_order": False, "shape": claimed})
    return out.getvalue() + array.tobytes()


def _npz(**arrays: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.savez(out, allow_pickle=False, **arrays)
    return out.getvalue()

"""`accord train --submit` and `accord watch`: the same training, done by a service."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from alignment.errors import RequestError
from app.cli import asking
from app.client import Client
from app.client.client import ServiceError
from app.client.sources import model_named
from tests.service import client_of, said
from tests.trainings.conftest import Gym

Accord = Callable[[str], Any]


@pytest.fixture
def served(gym: Gym, accord: Accord, monkeypatch: pytest.MonkeyPatch) -> Gym:
    """A service that the command line asks."""
    monkeypatch.setattr(asking, "client", lambda: client_of(gym.service))
    return gym


def test_one_is_queued_followed_and_its_models_named(served: Gym, accord: Accord, rows: Any) -> None:
    np.savez(served.folder / "rows.npz", **rows())
    queued = accord("train --recipe mlp --data rows.npz --steps 10 --seed 2 --submit")
    assert (queued.status, queued.err) == (0, "")
    made = said(queued).strip()
    with pytest.raises(RequestError, match="is queued"):
        model_named(client_of(served.service), f"training:{made}/a")
    served.service.work_off()
    watched = accord(f"watch {made} --json")
    assert watched.status == 0
    result = json.loads(said(watched))
    assert result["provenance"]["request"]["data"].startswith("rows.npz@")
    assert model_named(client_of(served.service), f"training:{made}/b") == result["models"]["b"]
    with pytest.raises(RequestError, match="training:ID/a"):
        model_named(client_of(served.service), f"training:{made}")
    again = accord("train --recipe mlp --data rows.npz --steps 10 --seed 2 --submit --json")
    assert json.loads(said(again))["status"] == "queued"
    assert len(served.service.client.get("/v1/probes").json()["items"]) == 1  # sent once


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("train --submit --out pair", "leave --out out"),
        ("train --watch", "--submit"),
        ("train --submit --recipe mlp --data nowhere", "there is no probe set 'nowhere'"),
        ("train --submit --objective x", "choose from: plain, entropic"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(served: Gym, accord: Accord, line: str, match: str) -> None:
    answer = accord(line)
    assert (answer.status, said(answer)) == (2, "")
    assert match in answer.err
    assert answer.err.count("\n") == 1


def test_what_is_read_of_one_is_what_training_here_prints(served: Gym, accord: Accord) -> None:
    line = "train --recipe linear --steps 50 --seed 3"
    trained = accord(f"{line} --out pair")
    here = trained.out.splitlines()
    made = said(accord(f"{line} --submit")).strip()
    served.service.work_off()
    watched = accord(f"watch {made}")
    assert (watched.status, watched.err) == (0, trained.err)
    assert "not_converged" in watched.err
    there = said(watched).splitlines()
    assert there[0].startswith("linear, entropic, seed 3: 50 steps of lbfgs, ")
    assert there[1:-2] == here[1:-2]
    found = served.service.client.get(f"/v1/trainings/{made}").json()["result"]["models"]
    assert there[-2] == f"models  {found['a']}  {found['b']}"
    queued = accord(there[-1].removeprefix("accord ").removesuffix(" --watch"))  # the command that it shows
    assert (queued.status, queued.err) == (0, "")
    served.service.work_off()
    compared = accord(f"watch {said(queued).strip()}")
    assert (compared.status, "cka" in compared.out, f"{made}/probe" in compared.out) == (0, True, False)
    assert len(served.service.client.get("/v1/probes").json()["items"]) == 1
    assert accord(there[-1].removeprefix("accord ").removesuffix(" --watch")).status == 0  # its items are there already
    assert len(served.service.client.get("/v1/probes").json()["items"]) == 1


def test_what_is_read_of_a_study_is_its_matrix(served: Gym, accord: Accord, rows: Any) -> None:
    served.probe("rows", **rows(classes=True))
    pair = served.train(recipe="mlp", data="rows", steps=5)["result"]["models"]
    body = {"models": [pair["a"], pair["b"]], "probe": "rows", "metrics": ["cka"], "calibration": {"permutations": 19}}
    made = served.service.client.post("/v1/studies", json=body).json()["id"]
    served.service.work_off()
    watched = accord(f"watch {made}")
    assert watched.status == 0
    assert "2 models, 80 items" in said(watched)
    assert "cka: the score of each two models' best pair of layers" in said(watched)
    assert "{" not in said(watched)
    assert json.loads(said(accord(f"watch {made} --json")))["samples"] == 80


@pytest.mark.parametrize("line", ["watch {}", "train --recipe linear --steps 5 --submit --watch"])
def test_who_stops_watching_hears_how_to_come_back(
    served: Gym, accord: Accord, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    made = said(accord("train --recipe linear --steps 5 --submit")).strip()
    followed = []

    def interrupted(self: Client, path: str) -> Any:
        followed.append(path.rpartition("/")[2])
        yield {"status": "running", "progress": None}
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Client, "follow", interrupted)
        answer = accord(line.format(made))
    job = followed[0]
    assert (answer.status, said(answer)) == (130, "")
    assert f"{job} goes on" in answer.err
    assert f"`accord watch {job}`" in answer.err
    assert f"`accord cancel {job}`" in answer.err
    assert answer.err.count("\n") == 1
    stopped = accord(f"cancel {job}")
    assert (stopped.status, said(stopped)) == (0, f"{job} was cancelled\n")
    assert json.loads(said(accord(f"cancel {job} --json")))["status"] == "cancelled"
    assert "was cancelled" in accord(f"watch {job}").err
    assert (accord("cancel nothing").status, accord(f"cancel {job[:-1]}").status) == (2, 2)


def test_a_service_that_goes_away_leaves_the_id(served: Gym, accord: Accord, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(self: Client, path: str) -> Any:
        raise ServiceError("the service stopped answering")

    monkeypatch.setattr(Client, "follow", gone)
    answer = accord("train --recipe linear --steps 5 --submit --watch")
    (job,) = served.service.client.get("/v1/trainings").json()["items"]
    assert answer.status == 1
    assert f"stopped answering; {job['id']} may go on" in answer.err

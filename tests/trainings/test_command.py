"""`accord train --submit` and `accord watch`: the same training, done by a service."""

import json
import re
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest

from alignment.errors import RequestError
from app.cli import remote
from app.client import Client
from app.client.sources import model_named
from tests.trainings.conftest import Gym

Accord = Callable[[str], Any]
_SENT = ("content-type", "idempotency-key", "accept", "last-event-id")


@pytest.fixture
def served(gym: Gym, accord: Accord, monkeypatch: pytest.MonkeyPatch) -> Gym:
    """A service that the command line asks."""
    monkeypatch.setattr(remote, "_client", lambda: client(gym))
    return gym


def client(gym: Gym) -> Client:
    def answer(request: httpx.Request) -> httpx.Response:
        sent = {name: value for name, value in request.headers.items() if name in _SENT}
        url = request.url.raw_path.decode()
        found = gym.service.client.request(request.method, url, content=request.read(), headers=sent)
        kind = found.headers.get("content-type", "")
        return httpx.Response(found.status_code, headers={"content-type": kind}, content=found.content)

    return Client("http://127.0.0.1", transport=httpx.MockTransport(answer))


def said(answer: Any) -> str:
    """What the command printed, without what the service logs in this process."""
    return "".join(line for line in answer.out.splitlines(True) if not re.match(r"\d{4}-\d\d-\d\d \d\d:", line))


def test_one_is_queued_followed_and_its_models_named(served: Gym, accord: Accord, rows: Any) -> None:
    np.savez(served.folder / "rows.npz", **rows())
    queued = accord("train --recipe mlp --data rows.npz --steps 10 --seed 2 --submit")
    assert (queued.status, queued.err) == (0, "")
    made = said(queued).strip()
    with pytest.raises(RequestError, match="is queued"):
        model_named(client(served), f"training:{made}/a")
    served.service.work_off()
    watched = accord(f"watch {made} --json")
    assert watched.status == 0
    result = json.loads(said(watched))
    assert result["provenance"]["request"]["data"].startswith("rows.npz@")
    assert model_named(client(served), f"training:{made}/b") == result["models"]["b"]
    with pytest.raises(RequestError, match="training:ID/a"):
        model_named(client(served), f"training:{made}")
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

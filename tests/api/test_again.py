"""A POST that is sent again gets its first answer, whatever became of what it names, and nothing is looked up anew."""

from typing import Any

import numpy as np
import pytest

from app.models import router as models
from app.problems import Problem
from app.schedules import service as schedules
from app.scoring import routes
from tests.probes_api.test_probes import named, npz, upload
from tests.service import Service

KEY = {"Idempotency-Key": "once"}
PAIR = {"model_a": "builtin:minilm-l6", "model_b": "builtin:minilm-l3", "probe": "texts"}
HOOK = "https://93.184.215.14/hook"


def gone(*_: Any, **__: Any) -> Any:
    raise Problem(503, "it is gone")


async def away(*_: Any, **__: Any) -> Any:
    gone()


@pytest.fixture(autouse=True)
def texts(service: Service) -> None:
    answer = service.client.post("/v1/probes", files={"file": ("t.txt", b"one\n" * 40)}, data={"name": "texts"})
    assert answer.status_code == 201, answer.text


def twice(service: Service, monkeypatch: pytest.MonkeyPatch, where: Any, what: str, path: str, **body: Any) -> None:
    first = service.client.post(path, headers=KEY, **body)
    assert first.status_code in (201, 202), first.text
    monkeypatch.setattr(where, what, away if what == "look" else gone)
    again = service.client.post(path, headers=KEY, **body)
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert again.headers["idempotent-replay"] == "true"
    assert service.client.post(path, headers={"Idempotency-Key": "other"}, **body).status_code == 503


def test_a_probe_set_of_an_upload(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = upload(service, "v.npz", npz(x=np.ones((4, 3))))
    twice(service, monkeypatch, service.app.state.reader, "look", "/v1/probes", json=named(sent))


def test_a_probe_set_of_a_form(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    body: dict[str, Any] = {"files": {"file": ("v.txt", b"one\ntwo\n")}, "data": {"name": "items"}}
    twice(service, monkeypatch, service.app.state.reader, "look", "/v1/probes", **body)


def test_a_model(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = upload(service, "v.npz", npz(h=np.ones((4, 3))))
    body = {"name": "m", "source": {"type": "features", "upload": sent}}
    twice(service, monkeypatch, models, "know", "/v1/models", json=body)


def test_a_comparison_that_a_webhook_is_told_of(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    twice(service, monkeypatch, routes, "check_url", "/v1/comparisons", json={**PAIR, "webhook_url": HOOK})


def test_a_schedule(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    body = {"name": "s", "cron": "0 3 * * *", "comparison": PAIR}
    twice(service, monkeypatch, schedules, "check", "/v1/schedules", json=body)

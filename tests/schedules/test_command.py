"""`accord schedule`: made, listed, run and ended from a shell; read by people, and by programs with --json."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from app.cli import asking
from tests.service import Service, client_of, said

Accord = Callable[[str], Any]
CREATE = "schedule create nightly features:a.npz features:b.npz --probe texts.txt --samples 20 --cron '0 3 * * *'"


@pytest.fixture
def served(service: Service, accord: Accord, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Service:
    """A service that the command line asks, and files for it."""
    monkeypatch.setattr(asking, "client", lambda: client_of(service))
    random = np.random.default_rng(0)
    for name in "ab":
        np.savez(tmp_path / f"{name}.npz", h=random.normal(size=(20, 3)).astype(np.float32))
    (tmp_path / "texts.txt").write_text("".join(f"text {number}\n" for number in range(20)))
    return service


def printed(accord: Accord, line: str) -> str:
    answer = accord(line)
    assert (answer.status, answer.err) == (0, "")
    return said(answer)


def test_a_life_of_a_schedule_is_read(served: Service, accord: Accord) -> None:
    assert accord("schedule list").err == "there are no schedules\n"
    made = printed(accord, f"{CREATE} --timezone Europe/Berlin").strip()
    listed = printed(accord, "schedule list")
    assert max(map(len, listed.splitlines())) <= 80
    for part in (made, "nightly", "0 3 * * *", "Europe/Berlin", ":00:00Z", "schedule", "when", "next"):
        assert part in listed
    assert accord(f"schedule runs {made}").err == "it has not run yet\n"
    run = printed(accord, f"schedule run {made}").strip()
    assert run.startswith("run_")
    served.work_off()
    told = printed(accord, f"schedule runs {made}")
    (item,) = json.loads(printed(accord, f"schedule runs {made} --json"))
    assert (item["id"], item["outcome"]) == (run, "succeeded")
    for part in ("succeeded", item["job"], f"mutual_knn {item['scores']['mutual_knn']['score']:.3f}"):
        assert part in told
    assert max(map(len, told.splitlines())) <= 80
    assert printed(accord, f"schedule pause {made}") == f"{made} is paused\n"
    assert "paused" in printed(accord, "schedule list")
    assert printed(accord, f"schedule resume {made}").startswith(f"{made} is next due 20")
    assert printed(accord, f"schedule delete {made}") == f"{made} is deleted\n"
    assert accord(f"schedule runs {made}").status == 2


def test_every_command_of_it_prints_json(served: Service, accord: Accord) -> None:
    def found(line: str) -> Any:
        return json.loads(printed(accord, f"{line} --json"))

    assert found("schedule list") == []
    made = found(f"{CREATE} --alert mutual_knn:below=0.5")
    assert (made["name"], made["alert"]["below"]) == ("nightly", 0.5)
    assert found("schedule list") == [made]
    assert found(f"schedule run {made['id']}")["schedule"] == made["id"]
    assert [found(f"schedule {word} {made['id']}")["paused"] for word in ("pause", "resume")] == [True, False]
    assert found(f"schedule delete {made['id']}") == {"id": made["id"], "deleted": True}


def test_a_webhook_without_an_alert_is_refused(served: Service, accord: Accord) -> None:
    answer = accord(f"{CREATE} --webhook https://example.org/hook")
    assert (answer.status, "--alert" in answer.err) == (2, True)
    assert served.client.get("/v1/schedules").json()["items"] == []

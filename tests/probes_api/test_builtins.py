"""Built-in probe sets: the API's process draws none; one look in a process beside it does for all who ask."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from alignment.errors import UnknownNameError
from alignment.probes import builtin, load_probe
from app.jobs.executor import LocalExecutor
from app.probes.builtins import BuiltinFacts
from app.probes.reader import PRELOAD, Reader
from app.problems import Problem
from app.schedules import chores as schedule_chores
from app.settings import Settings
from tests.probes_api.test_reader import Told, until
from tests.service import Service

FACTS = {"modality": "paired", "samples": 3, "sha256": "f", "reference": "builtin:emoji", "views": None}


def settings(folder: Path) -> Settings:
    return Settings(data_dir=folder / "data", cache_dir=folder / "cache", max_reading_mib=256, _env_file=None)


def test_another_process_draws_and_keeps_what_it_drew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = load_probe("builtin:emoji")
    monkeypatch.setattr(builtin.emoji, "load", lambda *_: pytest.fail("it is drawn here"))
    made = settings(tmp_path)
    found = BuiltinFacts(Reader(made, LocalExecutor(PRELOAD))).of("emoji")
    assert (found["modality"], found["samples"], found["sha256"]) == ("paired", len(known), known.sha256)
    assert len(list((made.cache_dir / "probes" / "emoji").glob("*.zip"))) == 1


def test_who_asks_together_waits_for_one_look_and_nobody_looks_again(tmp_path: Path) -> None:
    told = Told({"done": FACTS})
    facts = BuiltinFacts(Reader(settings(tmp_path), told))
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(facts.of, "emoji") for _ in range(8)]
        until(lambda: bool(told.orders))
        told.may.release(100)
        assert [one.result() for one in asked] == [FACTS] * 8
    assert facts.of("emoji") == FACTS
    assert (len(told.orders), told.at_once) == (1, 0)


def test_what_failed_is_looked_at_again_and_a_name_that_is_none_never(tmp_path: Path) -> None:
    told = Told({"error": {"kind": "outage", "detail": "the disk is full"}})
    facts = BuiltinFacts(Reader(settings(tmp_path), told))
    told.may.release(100)
    with pytest.raises(Problem, match="the disk is full"):
        facts.of("emoji")
    told.messages = ({"done": FACTS},)
    assert facts.of("emoji") == FACTS
    with pytest.raises(UnknownNameError, match="did you mean 'emoji'"):
        facts.of("emojis")
    assert len(told.orders) == 2


POSTS: list[tuple[str, dict[str, Any]]] = [
    ("/v1/probes", {"name": "drawn", "source": {"type": "builtin", "id": "emoji"}}),
    (
        "/v1/comparisons",
        {"model_a": "builtin:minilm-l6", "model_b": "builtin:minilm-l3", "probe": "builtin:emoji"},
    ),
    ("/v1/studies", {"models": ["builtin:minilm-l6", "builtin:minilm-l3"], "probe": "builtin:emoji"}),
    (
        "/v1/schedules",
        {
            "name": "s",
            "cron": "0 3 * * *",
            "comparison": {"model_a": "builtin:minilm-l6", "model_b": "builtin:minilm-l3", "probe": "builtin:emoji"},
        },
    ),
]


@pytest.mark.parametrize(("path", "body"), POSTS)
def test_no_request_draws_or_looks_within_its_transaction(
    service: Service, monkeypatch: pytest.MonkeyPatch, path: str, body: dict[str, Any]
) -> None:
    writing: list[bool] = []
    reader = service.app.state.reader
    read = reader.read

    def watched(*arguments: Any) -> Any:
        writing.append(service.database._writing.locked())
        return read(*arguments)

    monkeypatch.setattr(reader, "read", watched)
    answer = service.client.post(path, json=body)
    assert answer.status_code in (201, 202), answer.text
    assert writing == [False]
    assert service.client.post(path, json={**body, **({"name": "t"} if "name" in body else {})}).status_code < 300
    assert writing == [False]


def test_a_schedule_that_is_run_by_hand_looks_before_its_transaction(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = service.client.post("/v1/schedules", json=POSTS[-1][1]).json()["id"]
    reader = service.app.state.reader
    reader_of = service.app.state.accord.builtin.__self__
    reader_of._found.clear()  # as in an API process that has just started
    writing: list[bool] = []
    read = reader.read
    monkeypatch.setattr(
        reader, "read", lambda *given: (writing.append(service.database._writing.locked()), read(*given))[1]
    )
    assert service.client.post(f"/v1/schedules/{made}/run").status_code == 202
    assert writing == [False]
    for strange in ("sch_", "x%00"):
        assert service.client.post(f"/v1/schedules/{strange}/run").status_code == 404


def test_a_worker_asks_another_process_too(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told({"done": FACTS})
    told.may.release(100)
    monkeypatch.setattr(schedule_chores, "LocalExecutor", lambda: told)
    chore, *_ = schedule_chores.chores(service.settings, service.database, service.app.state.accord.ledger)
    state = chore.run.__self__._state
    assert state.builtin("emoji") == FACTS
    assert len(told.orders) == 1

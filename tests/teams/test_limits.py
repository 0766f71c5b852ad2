"""A team's limits hold however many ask at once: what is left is looked at and taken in one step."""

import io
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from app.jobs import Ledger
from app.scoring import room
from app.storage import Database
from app.storage.tables import jobs, models
from app.teams import use
from app.uploads import service as uploads
from tests.service import Service, serve
from tests.teams.test_access import bearer

MOST, MIB = 3, 1 << 20
ASKED = 10  # at once
PAIR = {"models": ["a", "b"], "model_a": "a", "model_b": "b", "probe": "items"}
ASK: dict[str, Callable[[Service, int, dict[str, str]], Any]] = {
    "comparison": lambda on, seed, key: on.client.post(
        "/v1/comparisons", headers=key, json={**{name: PAIR[name] for name in ("model_a", "model_b", "probe")}}
    ),
    "study": lambda on, seed, key: on.client.post(
        "/v1/studies", headers=key, json={name: PAIR[name] for name in ("models", "probe")}
    ),
    "training": lambda on, seed, key: on.client.post(
        "/v1/trainings", headers=key, json={"recipe": "linear", "steps": 2, "seed": seed}
    ),
}


@pytest.fixture
def small(tmp_path: Path, database: Database) -> Iterator[Service]:
    """A service where a team may have few jobs and keep little."""
    made = serve(tmp_path, database, max_queued=MOST, max_stored_mib=MOST)
    with made.client:
        yield made


def at_once(asked: Callable[[int], Any]) -> Counter[int]:
    """How often each status was answered."""
    with ThreadPoolExecutor(ASKED) as pool:
        return Counter(answer.status_code for answer in pool.map(asked, range(ASKED)))


def slowly(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    """Has whoever looks at what is left take its time before it takes that."""
    real = getattr(owner, name)

    def looked(*args: Any) -> Any:
        found = real(*args)
        time.sleep(0.05)
        return found

    monkeypatch.setattr(owner, name, looked)


def furnish(service: Service, key: dict[str, str]) -> None:
    """Registers what `PAIR` names."""
    items = "".join(f"item {number}\n" for number in range(20)).encode()
    service.client.post("/v1/probes", files={"file": ("i.txt", items)}, data={"name": "items"}, headers=key)
    for name in "ab":
        file = io.BytesIO()
        np.savez(file, layer=np.random.default_rng(0).normal(size=(20, 4)))
        sent = service.client.post("/v1/uploads", files={"file": ("f.npz", file.getvalue())}, headers=key).json()
        source = {"type": "features", "upload": sent["id"]}
        service.client.post("/v1/models", json={"name": name, "source": source}, headers=key)


@pytest.mark.parametrize("kind", ASK)
def test_a_team_gets_as_many_jobs_as_it_may_and_no_more_and_another_its_own(
    small: Service, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    object.__setattr__(small.app.state.accord, "settings", small.settings.model_copy(update={"max_stored_mib": 100}))
    ours, theirs = bearer(small, "ours", "runner"), bearer(small, "theirs", "runner")
    for key in (ours, theirs):
        furnish(small, key)
    slowly(monkeypatch, Ledger, "few")
    assert at_once(lambda seed: ASK[kind](small, seed, ours)) == {202: MOST, 429: ASKED - MOST}
    assert ASK[kind](small, 0, theirs).status_code == 202
    with small.database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(jobs)).scalar_one() == MOST + 1


def test_the_limit_holds_too_where_many_are_queued_at_once_as_long_as_it_is_far(
    small: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_FAR", 2 * ASKED)
    most = 4 * ASKED
    changed = small.settings.model_copy(update={"max_stored_mib": 100, "max_queued": most})
    object.__setattr__(small.app.state.accord, "settings", changed)
    key = bearer(small, "ours", "runner")
    furnish(small, key)
    slowly(monkeypatch, Ledger, "few")
    found: Counter[int] = Counter()
    for _ in range(6):
        found += at_once(lambda seed: ASK["comparison"](small, seed, key))
    assert found == {202: most, 429: 6 * ASKED - most}


def test_a_team_keeps_no_more_than_it_may_however_many_trainings_and_files_come(
    small: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training is counted with what it may come to keep: a mebibyte, and more of a probe set that it learns from."""
    object.__setattr__(small.app.state.accord, "settings", small.settings.model_copy(update={"max_queued": 100}))
    key = bearer(small, "ours", "runner")
    slowly(monkeypatch, uploads, "stored")

    def ask(number: int) -> Any:
        if number % 2:
            return ASK["training"](small, number, key)
        return small.client.post("/v1/uploads", files={"file": ("f.txt", b"x" * MIB)}, headers=key)

    found = at_once(ask)
    assert found[202] + found[201] == MOST
    assert found[413] == ASKED - MOST
    with small.database.read() as connection:
        team = connection.execute(sa.select(use.teams.c.id).where(use.teams.c.name == "ours")).scalar_one()
        assert use.stored(connection, team) + use.coming(connection, team) == MOST * MIB


def test_what_trainings_may_come_to_keep_no_file_takes(small: Service) -> None:
    key = bearer(small, "ours", "runner")
    for seed in range(MOST):
        assert ASK["training"](small, seed, key).status_code == 202
    answer = small.client.post("/v1/uploads", files={"file": ("f.txt", b"x")}, headers=key)
    assert (answer.status_code, "may keep 3 MiB" in answer.json()["detail"]) == (413, True)


def test_a_trained_model_is_registered_anew_only_where_there_is_room(small: Service) -> None:
    """It may be for half a day after it was deleted, when it counts no more."""
    key = bearer(small, "ours", "runner")
    made = ASK["training"](small, 0, key).json()["id"]
    small.work_off()
    listed = small.client.get("/v1/models", headers=key).json()["items"]
    assert len(listed) == 2
    again = {"name": "again", "source": {"type": "training", "id": made, "member": "a"}}
    with small.database.write() as connection:
        connection.execute(models.update().values(bytes=2 * MIB))
    for model in listed:
        small.client.delete(f"/v1/models/{model['id']}", headers=key)
    sent = [small.client.post("/v1/uploads", files={"file": ("f.txt", b"x" * MIB)}, headers=key) for _ in range(2)]
    refused = small.client.post("/v1/models", json=again, headers=key)
    assert (refused.status_code, "may keep" in refused.json()["detail"]) == (413, True)
    small.client.delete(f"/v1/uploads/{sent[0].json()['id']}", headers=key)
    assert small.client.post("/v1/models", json=again, headers=key).status_code == 201
    assert small.client.post("/v1/models", json={**again, "name": "twice"}, headers=key).status_code == 201

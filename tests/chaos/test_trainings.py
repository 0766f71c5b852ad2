"""Whatever becomes of the workers that have it in hand, a training comes to the same numbers, and its models are once.

These are `accord worker` processes with the real work.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from alignment.entropic.recipes import TrainingRequest, train
from app.storage.tables import jobs, models, workers
from app.trainings.work import finite
from tests.processes import eventually, is_running
from tests.service import Service

pytestmark = pytest.mark.chaos
ASKED: dict[str, Any] = {"recipe": "linear", "steps": 2000, "seed": 11}
Start = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def start(service: Service, tmp_path: Path) -> Iterator[Start]:
    """Returns a function that starts a worker, one at a time."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ACCORD_")}
    settings = {
        "ACCORD_DATA_DIR": str(service.settings.data_dir),
        "ACCORD_CACHE_DIR": str(service.settings.cache_dir),
        "ACCORD_DATABASE_URL": service.database.url,
        "ACCORD_DEVICES": "cpu",
        "ACCORD_LEASE_SECONDS": "3",
        "ACCORD_GRACE_SECONDS": "0.5",
    }
    started: list[subprocess.Popen[bytes]] = []

    def worker() -> subprocess.Popen[bytes]:
        with (tmp_path / "workers.log").open("ab") as log:
            command = [sys.executable, "-m", "app.cli", "worker"]
            started.append(subprocess.Popen(command, env={**kept, **settings}, cwd=tmp_path, stdout=log, stderr=log))
        return started[-1]

    yield worker
    for process in started:
        process.kill()
        process.wait()


def row(service: Service, job: str) -> Any:
    with service.database.read() as connection:
        return connection.execute(jobs.select().where(jobs.c.id == job)).mappings().one()


def steps(service: Service, job: str) -> int:
    """How many steps are told of by whoever has it in hand; 0 if nobody has."""
    found = row(service, job)
    progress = found["progress"] if found["state"] == "running" else None
    return progress["done"] if progress and progress["stage"] == "train" else 0


def children(process: "subprocess.Popen[bytes]") -> list[int]:
    """All processes below one."""
    found, parents = list[int](), {process.pid}
    for _ in range(3):
        for path in Path("/proc").iterdir():
            if path.name.isdigit() and int(path.name) not in parents:
                try:
                    parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
                except (FileNotFoundError, ProcessLookupError):
                    continue
                if parent in parents:
                    parents.add(int(path.name))
                    found.append(int(path.name))
    return found


def test_killed_then_handed_over_it_comes_to_the_same_numbers(service: Service, start: Start) -> None:
    undisturbed = finite(train(TrainingRequest(**ASKED)).to_dict({}))
    job = service.client.post("/v1/trainings", json=ASKED).json()["id"]
    first = start()
    eventually(lambda: steps(service, job) >= 200, looks=2400)
    first.kill()
    first.wait()
    reached = steps(service, job)
    stale = row(service, job)["progress"]  # which stays until the next worker says something
    second = start()
    told = list[int]()  # by the second worker, from its first word on

    def goes_on() -> bool:
        found = row(service, job)
        progress = found["progress"] if found["state"] == "running" else None
        if found["losses"] == 1 and progress and progress["stage"] == "train" and progress != stale:
            told.append(progress["done"])
        return bool(told) and told[-1] > reached

    eventually(goes_on, looks=2400)
    assert min(told) > 0  # from what was kept, not from the beginning
    reached = told[-1]
    assert reached < ASKED["steps"]
    second.send_signal(signal.SIGTERM)
    assert second.wait(60) == 0
    given = row(service, job)
    assert (given["state"], given["losses"], given["attempts"]) == ("queued", 1, 0)
    start()
    eventually(lambda: row(service, job)["state"] not in ("queued", "running"), looks=2400)
    found = service.client.get(f"/v1/trainings/{job}").json()
    assert (found["status"], found["attempts"], row(service, job)["fence"]) == ("succeeded", 1, 4)  # a loss is one, too
    for part in ("alignment", "balance", "sharpness", "task", "loss", "warnings"):
        assert found["result"][part] == undisturbed[part]
    with service.database.read() as connection:
        made = connection.execute(sa.select(models.c.id)).scalars().all()
    assert set(made) == set(found["result"]["models"].values())


def test_cancelled_its_process_is_gone_and_the_worker_goes_on(service: Service, start: Start) -> None:
    job = service.client.post("/v1/trainings", json={**ASKED, "steps": 1_000_000}).json()["id"]
    worker = start()
    eventually(lambda: steps(service, job) >= 100, looks=2400)
    below = children(worker)
    assert service.client.post(f"/v1/trainings/{job}/cancel").json()["status"] == "cancelled"
    eventually(lambda: sum(map(is_running, below)) < len(below))
    short = service.client.post("/v1/trainings", json={"recipe": "linear", "steps": 10}).json()["id"]
    eventually(lambda: row(service, short)["state"] == "succeeded")
    assert row(service, job)["state"] == "cancelled"
    with service.database.read() as connection:
        assert connection.execute(sa.select(workers.c.state)).scalars().all() == ["alive"]

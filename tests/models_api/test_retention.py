"""What was deleted goes in time, row and file, once nothing names it; what was done with it can be read as before."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from app.jobs.retention import forget as forget_jobs
from app.models.retention import forget as forget_models
from app.probes.retention import forget as forget_probes
from app.storage import purge
from app.storage.tables import jobs, models, probes, uploads
from app.uploads.retention import forget as forget_uploads
from tests.service import Service

KEPT = 1000.0


@dataclass
class Past:
    """Two models and a probe set that were compared, now and by a schedule, and then deleted."""

    service: Service
    comparison: str
    schedule: str
    model: str

    def age(self, table: sa.Table, *columns: str) -> None:
        """Makes what happened to a table's rows older than is kept."""
        with self.service.database.write() as connection:
            connection.execute(table.update().values({name: table.c[name] - 2 * KEPT for name in columns}))

    def count(self, table: sa.Table) -> int:
        with self.service.database.read() as connection:
            return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())

    def files(self) -> list[Path]:
        folder = self.service.settings.data_dir / "uploads"
        return [path for path in folder.rglob("*") if path.is_file()]

    def get(self, path: str) -> Any:
        answer = self.service.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def purge(self) -> tuple[int, int, int]:
        """How many models, probe sets and uploads went."""
        database, settings = self.service.database, self.service.settings
        gone = forget_models(database, KEPT), forget_probes(database, KEPT)
        return *gone, forget_uploads(settings, database, KEPT)


@pytest.fixture
def past(service: Service) -> Past:
    client = service.client
    items = "".join(f"item {number}\n" for number in range(20)).encode()
    probe = client.post("/v1/probes", files={"file": ("i.txt", items)}, data={"name": "items"}).json()["id"]
    made = []
    for name in "ab":
        file = io.BytesIO()
        np.savez(file, layer=np.random.default_rng(0).normal(size=(20, 4)))
        upload = client.post("/v1/uploads", files={"file": ("f.npz", file.getvalue())}).json()["id"]
        source = {"type": "features", "upload": upload}
        made.append(client.post("/v1/models", json={"name": name, "source": source}).json()["id"])
    asked = {"model_a": "a", "model_b": "b", "probe": "items", "calibration": {"permutations": 0, "resamples": 0}}
    comparison = client.post("/v1/comparisons", json=asked).json()["id"]
    every = {"name": "nightly", "cron": "0 3 * * *", "comparison": asked}
    schedule = client.post("/v1/schedules", json=every).json()["id"]
    assert client.post(f"/v1/schedules/{schedule}/run").status_code == 202
    service.work_off()
    for path in (*(f"models/{model}" for model in made), f"probes/{probe}"):
        assert client.delete(f"/v1/{path}").status_code == 204
    return Past(service, comparison, schedule, made[0])


def test_what_was_deleted_of_late_stays(past: Past) -> None:
    past.age(uploads, "created_at")
    assert past.purge() == (0, 0, 0)
    assert (past.count(models), past.count(probes), len(past.files())) == (2, 1, 3)


def test_a_model_stays_for_as_long_as_a_job_names_it_and_is_found_by(past: Past) -> None:
    for table, columns in ((models, ["deleted_at"]), (probes, ["deleted_at"]), (uploads, ["created_at"])):
        past.age(table, *columns)
    before = past.get(f"/v1/comparisons/{past.comparison}")
    assert past.purge() == (0, 1, 3)  # of a job that has ended nothing is needed but what it says
    assert len(past.get(f"/v1/comparisons?model={past.model}")["items"]) == 2
    assert past.get(f"/v1/comparisons/{past.comparison}") == before
    assert before["status"] == "succeeded"


def test_all_goes_once_the_jobs_are_forgotten_and_the_schedules_history_stays(past: Past) -> None:
    runs = past.get(f"/v1/schedules/{past.schedule}/runs")
    past.age(models, "deleted_at")
    past.age(probes, "deleted_at")
    past.age(uploads, "created_at")
    past.age(jobs, "finished_at")
    assert forget_jobs(past.service.database, KEPT) == 2
    assert past.purge() == (2, 1, 3)
    assert (past.count(models), past.count(probes), past.count(uploads), past.files()) == (0, 0, 0, [])
    assert past.get(f"/v1/schedules/{past.schedule}/runs") == runs
    assert {side["name"] for side in runs["items"][0]["models"].values()} == {"a", "b"}
    assert past.purge() == (0, 0, 0)


def test_a_probe_set_stays_for_a_job_that_has_not_ended(past: Past) -> None:
    past.age(probes, "deleted_at")
    with past.service.database.write() as connection:
        connection.execute(jobs.update().where(jobs.c.id == past.comparison).values(state="queued"))
    assert forget_probes(past.service.database, KEPT) == 0


def test_any_number_goes_a_few_at_a_time(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purge, "AT_ONCE", 7)
    row = {"team_id": "t", "shared": False, "source": {}, "reference": "", "created_at": 0.0, "deleted_at": 1.0}
    more = {"columns": {}, "modality": "text", "samples": 1, "sha256": ""}
    with service.database.write() as connection:
        connection.execute(models.insert(), [{"id": f"m{n}", "name": f"{n}", **row} for n in range(30)])
        connection.execute(probes.insert(), [{"id": f"p{n}", "name": f"{n}", **row, **more} for n in range(30)])
    writes, real = [0], service.database.write

    def write() -> Any:
        writes[0] += 1
        return real()

    monkeypatch.setattr(service.database, "write", write)
    assert (forget_models(service.database, KEPT), forget_probes(service.database, KEPT)) == (30, 30)
    assert writes[0] == 2 * 5

"""Uploads that nothing has needed for long go; what is needed, or may be, stays."""

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app.storage.tables import jobs, models, probes, uploads
from app.uploads.files import uploads_folder
from app.uploads.retention import clear, forget
from tests.service import Service

DAY = 24 * 3600.0


@pytest.fixture
def upload(service: Service):
    """Makes an upload of so many days ago; returns its file."""

    def make(upload_id: str, days: float) -> Path:
        file = uploads_folder(service.settings) / upload_id / "file.npz"
        file.parent.mkdir(parents=True)
        file.write_bytes(b"0")
        made = time.time() - days * DAY
        with service.database.write() as connection:
            connection.execute(
                uploads.insert().values(
                    id=upload_id, team_id="t", filename="file.npz", bytes=1, sha256="0", created_at=made
                )
            )
        return file

    return make


def use(service: Service, table: sa.Table, reference: str, deleted_days: float | None = None) -> None:
    values: dict[str, Any] = {
        "id": f"{table.name}_{reference[-20:]}",
        "team_id": "t",
        "name": reference,
        "shared": False,
        "source": {},
        "reference": reference,
        "created_at": 0.0,
        "deleted_at": None if deleted_days is None else time.time() - deleted_days * DAY,
    }
    if table is probes:
        values |= {"columns": {}, "modality": "text", "samples": 1, "sha256": ""}
    with service.database.write() as connection:
        connection.execute(table.insert().values(values))


def left(service: Service) -> set[str]:
    with service.database.read() as connection:
        rows = set(connection.execute(sa.select(uploads.c.id)).scalars())
    assert rows == {folder.name for folder in uploads_folder(service.settings).iterdir()}
    return rows


def test_only_what_nothing_has_needed_for_long_goes(service: Service, upload) -> None:
    upload("upl_young", 5)
    upload("upl_unused", 40)
    use(service, probes, str(upload("upl_probe", 40)))
    use(service, models, f"features:{upload('upl_model', 40)}")
    use(service, probes, str(upload("upl_deleted_just_now", 40)), deleted_days=3)
    use(service, models, f"features:{upload('upl_deleted_long_ago', 40)}", deleted_days=35)
    needed = upload("upl_job", 40)
    with service.database.write() as connection:
        connection.execute(
            jobs.insert().values(
                id="cmp_1",
                kind="comparison",
                team_id="t",
                queue="score",
                priority=5,
                state="waiting",
                request={},
                payload={"a": {"reference": f"features:{needed}"}},
                created_at=0.0,
            )
        )
    assert forget(service.settings, service.database, 30 * DAY) == 2
    assert left(service) == {"upl_young", "upl_probe", "upl_model", "upl_deleted_just_now", "upl_job"}


def test_files_of_dead_processes_go(service: Service, upload) -> None:
    upload("upl_known", 40)
    folder = uploads_folder(service.settings)
    for name, seconds in ((".upl_dead", 2 * DAY), ("upl_never_entered", 2 * DAY), (".upl_at_work", 2 * DAY)):
        (folder / name).mkdir()
        (folder / name / "file.npz").write_bytes(b"0")
        for path in (folder / name / "file.npz", folder / name, folder / "upl_known"):
            os.utime(path, (time.time() - seconds,) * 2)
    os.utime(folder / ".upl_at_work" / "file.npz")
    assert clear(service.settings, service.database) == 2
    assert {child.name for child in folder.iterdir()} == {"upl_known", ".upl_at_work"}


def test_nothing_was_ever_sent(service: Service) -> None:
    assert clear(service.settings, service.database) == 0


def test_what_is_being_registered_at_that_moment_stays(service: Service, upload) -> None:
    """A registration holds the upload, writes its model and ends while uploads are being forgotten."""
    file = upload("upl_held", 40)
    held, may_end = threading.Event(), threading.Event()

    def register() -> None:
        with service.database.write() as connection:
            connection.execute(sa.select(uploads.c.id).where(uploads.c.id == "upl_held").with_for_update())
            held.set()
            may_end.wait(0.5)  # SQLite's one writer makes the other wait for the end
            values = {"id": "mdl_late", "reference": f"features:{file}", "team_id": "t", "name": "n", "shared": False}
            connection.execute(models.insert().values(source={}, created_at=time.time(), **values))

    thread = threading.Thread(target=register)
    thread.start()
    held.wait(10)
    count = forget(service.settings, service.database, 30 * DAY)
    may_end.set()
    thread.join(10)
    assert count == 0
    assert left(service) == {"upl_held"}

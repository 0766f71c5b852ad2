"""The README's backup, made while the service works and put back after all was lost, has every result and every job."""

import shutil
import sqlite3
import subprocess
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from app.client import Client
from app.client.local import LocalService
from tests.databases import SERVER, fresh_url
from tests.small import register

JOBS = 4


def started(folder: Path, url: str) -> AbstractContextManager[LocalService]:
    # To look for a GPU takes a process of its own.
    return LocalService.start(folder, {"ACCORD_DATABASE_URL": url, "ACCORD_DEVICES": "cpu"})


def back_up(url: str, copy: Path) -> None:
    if SERVER:
        run(binary("pg_dump"), "-f", str(copy), libpq(url))
        return
    source, target = sqlite3.connect(url.removeprefix("sqlite:///")), sqlite3.connect(copy)
    source.backup(target)
    source.close()
    target.close()


def restore(copy: Path, url: str) -> None:
    if SERVER:
        run(binary("psql"), "-q", "-v", "ON_ERROR_STOP=1", "-f", str(copy), libpq(url))
    else:
        shutil.copy(copy, url.removeprefix("sqlite:///"))


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def binary(name: str) -> str:
    found = [str(path) for path in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))]
    found += [path for path in [shutil.which(name)] if path]
    if not found:
        pytest.skip(f"{name} is not installed")
    return found[0]


def libpq(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def ended(client: Client, job: str) -> Mapping[str, Any]:
    *_, last = client.follow(f"/v1/comparisons/{job}")
    return last


def test_what_is_put_back_goes_on(database_url: str, tmp_path: Path) -> None:
    data, kept = tmp_path / "data", tmp_path / "kept"
    data.mkdir()
    kept.mkdir()
    body = {"model_a": "a", "model_b": "b", "probe": "items", "calibration": {"permutations": 19, "resamples": 0}}
    with started(data, database_url) as service, Client(service.url) as client:
        register(client, tmp_path, "ab", "items")
        before = ended(client, client.post("/v1/comparisons", body)["id"])
        others = [client.post("/v1/comparisons", {**body, "seed": seed})["id"] for seed in range(1, JOBS)]
        back_up(database_url, kept / "copy")
        shutil.copytree(data / "uploads", kept / "uploads")
    shutil.rmtree(data)
    data.mkdir()
    with fresh_url(data) as url:
        restore(kept / "copy", url)
        shutil.copytree(kept / "uploads", data / "uploads")
        with started(data, url) as service, Client(service.url) as client:
            assert client.get(f"/v1/comparisons/{before['id']}") == before
            states = [ended(client, job)["status"] for job in others]
            assert states == ["succeeded"] * (JOBS - 1)

"""`accord serve` for real: it starts, stops, keeps its workers, and is not open to others by accident."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from app.client.local import LocalService
from tests.processes import eventually

PATIENCE = 180  # seconds that a busy machine may take for anything


@pytest.fixture
def running(tmp_path: Path, database_url: str) -> Iterator[LocalService]:
    with LocalService.start(tmp_path, {"ACCORD_DATABASE_URL": database_url, "ACCORD_DEVICES": "cpu"}) as service:
        yield service


def workers(service: LocalService) -> list[psutil.Process]:
    children = psutil.Process(service.process.pid).children()
    return [child for child in children if child.status() != psutil.STATUS_ZOMBIE and "worker" in child.cmdline()]


def accord(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    given = {**os.environ, "ACCORD_DATA_DIR": str(folder), **settings}
    command = [sys.executable, "-m", "app.cli", *arguments]
    return subprocess.run(command, env=given, capture_output=True, text=True, timeout=PATIENCE)


def test_a_service_is_whole_and_keeps_itself_so(running: LocalService, tmp_path: Path, database_url: str) -> None:
    database = {"ACCORD_DATABASE_URL": database_url}
    page = httpx.get(running.url)
    assert page.status_code == 200
    assert "<strong>ready</strong>" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]

    # A worker that is killed is replaced, and noticed. It counts as live a moment before it says that it is ready.
    eventually(lambda: running.log.read_text().count("worker ready") == 1)
    (first,) = workers(running)
    first.kill()
    eventually(lambda: running.log.read_text().count("worker ready") == 2)
    assert [worker.pid for worker in workers(running)] != [first.pid]

    # A key closes it: from now on nobody is let in without one.
    made = accord(tmp_path, "keys", "create", "--team", "vision", "--role", "reader", **database)
    key = made.stdout.strip()
    assert made.returncode == 0
    assert key not in accord(tmp_path, "keys", "list", **database).stdout
    assert httpx.get(f"{running.url}/v1/models").status_code == 401
    with_key = {"Authorization": f"Bearer {key}"}
    assert httpx.get(f"{running.url}/v1/models", headers=with_key).status_code == 200
    revoked = accord(tmp_path, "keys", "revoke", made.stderr.split(":")[0], **database)
    assert revoked.returncode == 0
    assert httpx.get(f"{running.url}/v1/models", headers=with_key).status_code == 401
    assert key not in running.log.read_text()

    # SIGTERM ends all of it, in order; nothing is left.
    everyone = psutil.Process(running.process.pid).children(recursive=True)
    running.process.send_signal(signal.SIGTERM)
    running.process.wait(PATIENCE)
    assert running.process.returncode == 0
    assert not psutil.wait_procs(everyone, timeout=PATIENCE)[1]
    assert "worker stopped" in running.log.read_text()


def test_workers_do_not_outlive_a_service_that_is_killed(running: LocalService) -> None:
    everyone = psutil.Process(running.process.pid).children(recursive=True)
    assert everyone
    running.process.kill()
    assert not psutil.wait_procs(everyone, timeout=PATIENCE)[1]


def test_without_a_key_it_binds_loopback_alone(tmp_path: Path) -> None:
    refused = accord(tmp_path, "serve", "--host", "0.0.0.0", "--port", "0")
    assert refused.returncode == 2
    assert "no key exists; make one with `accord keys create`" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_a_bootstrap_key_is_a_key(tmp_path: Path) -> None:
    key = accord(tmp_path, "keys", "generate").stdout
    (tmp_path / "secret").write_text(key)
    settings = {"ACCORD_BOOTSTRAP_KEY_FILE": str(tmp_path / "secret"), "ACCORD_HOST": "0.0.0.0"}
    with LocalService.start(tmp_path, settings) as service:
        port = service.url.rpartition(":")[2]
        url = f"http://127.0.0.1:{port}/v1/models"
        assert httpx.get(url).status_code == 401
        assert httpx.get(url, headers={"Authorization": f"Bearer {key.strip()}"}).status_code == 200


@pytest.mark.parametrize("command", [["api", "--port", "0"], ["worker"]])
def test_a_database_that_cannot_be_is_one_sentence(tmp_path: Path, command: list[str]) -> None:
    refused = accord(tmp_path, *command, ACCORD_DATABASE_URL="mysql://x/y")
    assert refused.returncode == 2
    assert "ACCORD_DATABASE_URL must begin with postgresql:// or sqlite:///" in refused.stderr


@pytest.mark.parametrize(("parent", "status"), [("os.getppid()", 7), ("os.getppid() + 1", 0)])
def test_a_worker_ends_if_its_parent_is_gone_and_not_because_that_is_number_one(parent: str, status: int) -> None:
    # In a container the service is process 1, which is who takes in orphans elsewhere.
    code = f"import os, sys; from app.stack import stop_with_parent; stop_with_parent({parent}); sys.exit(7)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == status
    as_first = "import os; os.getppid = lambda: 1; from app.stack import stop_with_parent; stop_with_parent(1)"
    assert subprocess.run([sys.executable, "-c", f"{as_first}; os._exit(7)"], check=False).returncode == 7

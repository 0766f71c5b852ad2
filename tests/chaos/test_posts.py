"""An API that is killed in the middle of posts, and asked again with the same keys, has done each of them once."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from app.client import Client
from app.storage import Database
from app.storage.tables import jobs
from tests.small import register

POSTS, SENDERS, KILLS = 60, 8, 2
pytestmark = pytest.mark.chaos


class Api:
    """`accord api` on one port, started anew each time that it is killed."""

    def __init__(self, folder: Path, url: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._settings = {**os.environ, "ACCORD_DATA_DIR": str(folder), "ACCORD_DATABASE_URL": url}
        self._run("migrate").wait()
        self.process = self._run("api", "--port", str(self.port))

    def _run(self, *command: str) -> subprocess.Popen[bytes]:
        streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen([sys.executable, "-m", "app.cli", *command], env=self._settings, **streams)

    def wait(self) -> None:
        deadline = time.monotonic() + 180
        with httpx.Client() as client:
            while time.monotonic() < deadline:
                try:
                    client.get(f"{self.url}/healthz")
                except httpx.HTTPError:
                    time.sleep(0.1)
                else:
                    return
        raise AssertionError("the API does not answer")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process = self._run("api", "--port", str(self.port))


@contextmanager
def api(folder: Path, url: str) -> Iterator[Api]:
    made = Api(folder, url)
    try:
        made.wait()
        yield made
    finally:
        made.process.kill()
        made.process.wait()


def post(client: httpx.Client, number: int) -> str:
    """Returns the id of a comparison, asked for with one key until there is an answer."""
    body = {"model_a": "a", "model_b": "b", "probe": "items", "seed": number}
    while True:
        try:
            answer = client.post("/v1/comparisons", json=body, headers={"Idempotency-Key": f"key-{number}"})
        except httpx.HTTPError:
            time.sleep(0.05)
            continue
        if answer.status_code == 202:
            return str(answer.json()["id"])
        assert answer.status_code == 503, answer.text


def test_each_is_done_once(database_url: str, tmp_path: Path) -> None:
    ids: dict[int, str] = {}
    numbers = iter(range(POSTS))
    taking = threading.Lock()

    def send() -> None:
        # To make a client costs more than a post does, and leaves the API nothing to start anew with.
        with httpx.Client(base_url=service.url) as client:
            while True:
                with taking:
                    number = next(numbers, None)
                if number is None:
                    return
                ids[number] = post(client, number)

    with api(tmp_path, database_url) as service:
        with Client(service.url) as client:
            register(client, tmp_path, "ab", "items", 20)
        senders = [threading.Thread(target=send) for _ in range(SENDERS)]
        for sender in senders:
            sender.start()
        for kill in range(1, KILLS + 1):
            while len(ids) < kill * POSTS // (KILLS + 2):
                time.sleep(0.01)
            service.kill()
        for sender in senders:
            sender.join()
    database = Database(database_url)
    with database.read() as connection:
        found = connection.execute(sa.select(jobs.c.id).where(jobs.c.kind == "comparison")).scalars().all()
    database.close()
    assert len(ids) == POSTS
    assert sorted(found) == sorted(ids.values())

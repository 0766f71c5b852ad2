"""A kind of job of the tests' own, with the routes that every kind has, and hands that move it on as a worker would."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import APIRouter

from app.api.jobs import Event
from app.jobs import Handler, NewJob
from app.jobs.claim import Claim
from app.jobs.ledger import Ledger
from app.jobs.recovery import Recovery
from app.scoring import routes
from app.storage.tables import jobs, teams, workers
from tests.service import Service

KIND = "comparison"
PATH = "/v1/things"


@dataclass
class Things:
    """The jobs of the tests' kind."""

    service: Service

    @property
    def ledger(self) -> Ledger:
        found: Ledger = self.service.app.state.accord.ledger
        return found

    @property
    def recovery(self) -> Recovery:
        return Recovery(self.ledger)

    @property
    def team(self) -> str:
        with self.service.database.read() as connection:
            return str(connection.execute(teams.select()).mappings().first()["id"])  # type: ignore[index]

    def make(self, team: str | None = None, models: tuple[str, ...] = ()) -> str:
        new = NewJob(KIND, team or self.team, "score", {"probe": "p"}, {"secret": "/srv/x"}, models=models)
        with self.service.database.write() as connection:
            return str(self.ledger.submit(connection, new)["id"])

    def claim(self, job: str) -> Claim:
        with self.service.database.write() as connection:
            values = {"id": "wrk_t", "host": "h", "pid": 1, "devices": [], "queues": [], "state": "alive"}
            moments = {"started_at": time.time(), "beat_at": time.time()}
            insert = self.service.database.insert(workers).values(**values, **moments)
            connection.execute(insert.on_conflict_do_nothing())
        claim = self.ledger.claim(job, "wrk_t")
        assert claim is not None
        return claim

    def finish(self, job: str, result: dict[str, Any] | None = None) -> None:
        assert self.ledger.publish(self.claim(job), result or {"samples": 3})

    def due(self) -> None:
        """Lets the time come at which what failed for now is tried again."""
        with self.service.database.write() as connection:
            connection.execute(jobs.update().where(jobs.c.retry_at.is_not(None)).values(retry_at=None))

    def cancel(self, job: str) -> None:
        with self.service.database.write() as connection:
            assert self.ledger.cancel(connection, job)


@pytest.fixture
def things(service: Service) -> Things:
    router = APIRouter(prefix=PATH)
    routes.add(router, KIND, Event, Event)
    service.app.include_router(router)
    made = Things(service)
    made.ledger.handlers[KIND] = Handler(KIND, "nowhere:work")  # type: ignore[index]  # a dict
    return made


def told(text: str) -> list[dict[str, Any]]:
    """Returns the events that a stream's text holds; comments are none."""
    found = []
    for block in text.replace("\r\n", "\n").split("\n\n"):
        lines = [line.partition(": ")[::2] for line in block.splitlines() if not line.startswith(":")]
        if lines:
            found.append(dict(lines))
    for event in found:
        event["data"] = json.loads(event["data"])
    return found


@dataclass
class Live:
    """The application behind a real server."""

    url: str
    server: uvicorn.Server
    thread: threading.Thread

    def stop(self) -> None:
        self.server.config.app.state.closing = True  # type: ignore[union-attr]
        self.server.should_exit = True
        self.thread.join(10)
        assert not self.thread.is_alive()


@contextmanager
def behind_a_server(service: Service) -> Iterator[Live]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(
            uvicorn.Config(service.app, log_config=None, lifespan="off", timeout_graceful_shutdown=5)
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        live = Live(f"http://127.0.0.1:{listening.getsockname()[1]}", server, thread)
        deadline = time.monotonic() + 10
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.01)
        try:
            yield live
        finally:
            live.stop()


@pytest.fixture
def live(things: Things) -> Iterator[Live]:
    with behind_a_server(things.service) as made:
        yield made


@pytest.fixture
def follow(live: Live) -> Callable[..., list[dict[str, Any]]]:
    """Returns a function that follows a job to the end of its stream."""

    def to_the_end(job: str, **headers: str) -> list[dict[str, Any]]:
        answer = httpx.get(f"{live.url}{PATH}/{job}/events", headers=headers, timeout=20)
        assert answer.status_code == 200
        return told(answer.text)

    return to_the_end

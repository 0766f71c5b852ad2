"""The service in this process, for tests: a client of the real application, and jobs done one after the other."""

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.client import Client
from app.jobs import Context, Done, Part
from app.jobs.child import FINAL, _explain
from app.jobs.executor import Order, Run
from app.main import create_app
from app.settings import Settings
from app.storage import Database
from app.storage.tables import jobs
from app.worker import for_work

_SENT = ("content-type", "idempotency-key", "accept", "last-event-id")


class Inline:
    """An executor that does all at once, here: no process is started, and nothing of its own memory is limited."""

    def start(self, order: Order) -> Run:
        return Said(*_said(order))

    def warm(self) -> None:
        pass


class Said:
    """Work that has ended, and what it said."""

    fate = "status 0"

    def __init__(self, *messages: Mapping[str, Any]) -> None:
        self._messages = list(messages)

    def poll(self, seconds: float) -> Mapping[str, Any] | None:
        if not self._messages:
            raise EOFError
        return self._messages.pop(0)

    def kill(self) -> None:
        pass


_KNOWN: dict[str, list[Mapping[str, Any]]] = {}  # what the built-in probe sets are, which is the same for every test


def _said(order: Order) -> list[Mapping[str, Any]]:
    if order.work != "app.probes.reading:know":
        return _work(order)
    name = order.payload["name"]
    _KNOWN[name] = _KNOWN.get(name) or _work(order)
    return _KNOWN[name]


def _work(order: Order) -> list[Mapping[str, Any]]:
    module, _, name = order.work.partition(":")
    try:
        done = getattr(importlib.import_module(module), name)(
            order.payload, Context(order.device, order.settings, lambda *_: None)
        )
    except Exception as error:
        kind, detail = _explain(error)
        return [{"error": {"kind": kind, "stage": None, "model": None, "detail": detail}}]
    return [{"done": done.result}]


@dataclass
class Service:
    """The application, its client (from loopback; without a key until one is made), and its worker."""

    settings: Settings
    database: Database
    app: FastAPI
    client: TestClient

    def work_off(self, most: int = 100) -> int:
        """Does every job that is queued, here and now, as a worker would; returns how many it took."""
        ledger = self.app.state.accord.ledger
        for count in range(most):
            with self.database.read() as connection:
                asked = sa.select(jobs.c.id).where(jobs.c.state == "queued", jobs.c.retry_at.is_(None))
                found = connection.execute(asked.order_by(jobs.c.priority, jobs.c.id).limit(1)).scalar_one_or_none()
            if found is None:
                return count
            claim = ledger.claim(found, "wrk_test")
            context = Context("cpu", for_work(self.settings), lambda *_: None)
            module, _, name = ledger.handlers[claim.row["kind"]].work.partition(":")
            try:
                outcome = getattr(importlib.import_module(module), name)(claim.row["payload"], context)
            except Exception as error:
                kind, detail = _explain(error)
                if kind != FINAL:
                    raise
                for secret, said in sorted(context.names.items(), key=lambda pair: -len(pair[0])):
                    detail = detail.replace(secret, said)
                ledger.fail(claim, {"stage": None, "model": context.subject, "detail": detail})
                continue
            if isinstance(outcome, Done):
                ledger.publish(claim, outcome.result)
            else:
                ledger.park(claim, [part if isinstance(part, Part) else Part(**part) for part in outcome.parts])
        raise AssertionError(f"more than {most} jobs")


def serve(folder: Path, database: Database, **settings: Any) -> Service:
    """Returns the service over a migrated database; use its client as a context."""
    made = Settings(data_dir=folder / "data", cache_dir=folder / "cache", _env_file=None, **settings)
    app = create_app(made, database, Inline())
    return Service(
        made,
        database,
        app,
        TestClient(app, "http://127.0.0.1", raise_server_exceptions=False, client=("127.0.0.1", 50000)),
    )


def client_of(service: Service) -> Client:
    """Returns what the command line asks a service with, whose requests come to the application in this process."""

    def answer(request: httpx.Request) -> httpx.Response:
        sent = {name: value for name, value in request.headers.items() if name in _SENT}
        url = request.url.raw_path.decode()
        found = service.client.request(request.method, url, content=request.read(), headers=sent)
        kind = found.headers.get("content-type", "")
        return httpx.Response(found.status_code, headers={"content-type": kind}, content=found.content)

    return Client("http://127.0.0.1", transport=httpx.MockTransport(answer))


def said(answer: Any) -> str:
    """What a command printed, without what the service logs in this process."""
    return "".join(line for line in answer.out.splitlines(True) if not re.match(r"\d{4}-\d\d-\d\d \d\d:", line))

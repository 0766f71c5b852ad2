"""Logs carry who and which request, and no secret, whoever writes them."""

import io
import json
import logging
import re
import sys
from collections.abc import Iterator

import pytest
import structlog

from app.teams import keys
from app.telemetry import configure
from app.telemetry.logs import without_secrets
from tests.service import Service

KEY = keys.generate()
SECRETS = [
    KEY,
    f"Authorization: Bearer {KEY}",
    "bearer abc.def-ghi",
    "postgresql://accord:hun:ter2@db:5432/accord",
    "postgresql+psycopg://accord:p@ss@db/accord",
    "host=db password=hunter2 dbname=accord",
    "https://example.org/x?token=hunter2&y=1",
    "whsec_c2VjcmV0c2VjcmV0",
    "hf_abcdefghijklmnopqrstuvwxyz012345",
]
BARE = [KEY.rpartition("_")[2], "abc.def", "hun:ter2", "p@ss", "hunter2", "c2VjcmV0", "abcdefghijklmnop"]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What goes to stderr, with logging as the service has it; afterwards all is as before."""
    root, before = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    disabled = logging.getLogger("uvicorn.access").disabled
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    configure("json", "info")
    yield stream
    root.handlers[:], root.level = handlers, level
    logging.getLogger("uvicorn.access").disabled = disabled
    structlog.configure(**before)


def _no_secret(text: str) -> None:
    for bare in BARE:
        assert bare not in text, text


@pytest.mark.parametrize("secret", SECRETS, ids=range(len(SECRETS)))  # a key is another in each process
def test_no_form_of_a_secret_is_written(written: io.StringIO, secret: str) -> None:
    ours, theirs = structlog.get_logger("accord.test"), logging.getLogger("sqlalchemy.test")
    error = RuntimeError(secret)
    ours.info(secret, text=secret, inside={"deep": [secret, (secret,), {secret}], secret: 1}, error=error)
    ours.info("bytes", data=secret.encode())
    theirs.warning("said %s", secret)
    theirs.warning(secret, extra={"more": secret})
    for logger in (ours, theirs):
        try:
            raise error
        except RuntimeError:
            logger.error("failed", exc_info=True)
    lines = written.getvalue().splitlines()
    assert len(lines) == 6
    assert all(json.loads(line)["level"] in ("info", "warning", "error") for line in lines)
    assert "Traceback" in lines[4]
    _no_secret(written.getvalue())


def test_what_is_no_secret_is_left_alone() -> None:
    event = {"url": "https://host:8080/a?b=c", "mail": "me@host", "n": 3, "x": 0.5, "none": None, "yes": True}
    assert without_secrets(event) == event
    assert without_secrets("sha256 of builtin:minilm-l6@main") == "sha256 of builtin:minilm-l6@main"


def test_a_request_is_one_line_that_says_who(service: Service, written: io.StringIO) -> None:
    key_id, key = keys.create(service.database, "us", "reader")
    headers = {"Authorization": f"Bearer {key}", "X-Request-ID": "mine"}
    service.client.get(f"/v1/models?cursor={key}", headers=headers)
    service.client.get("/healthz")
    (line,) = [json.loads(line) for line in written.getvalue().splitlines()]
    assert {name: line[name] for name in ("event", "request_id", "team", "key", "path", "status")} == {
        "event": "request",
        "request_id": "mine",
        "team": "us",
        "key": key_id,
        "path": "/v1/models",
        "status": 422,
    }
    assert key.rpartition("_")[2] not in written.getvalue()


def test_who_asked_before_is_not_who_asks_now(service: Service, written: io.StringIO) -> None:
    _, key = keys.create(service.database, "us", "reader")
    service.client.get("/v1/me", headers={"Authorization": f"Bearer {key}"})
    service.client.get("/v1/me", headers={"Authorization": "Bearer nobody's"})
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [line.get("team") for line in lines] == ["us", None]


def test_both_forms_can_be_read(monkeypatch: pytest.MonkeyPatch, written: io.StringIO) -> None:
    monkeypatch.setattr(sys, "stderr", written)  # pytest sets its own between a fixture and its test
    configure("console", "warning")
    log = structlog.get_logger("accord.test")
    log.info("quiet")
    log.warning("said", count=3)
    (line,) = written.getvalue().splitlines()
    assert re.search(r"said\s+.*count=3", line)

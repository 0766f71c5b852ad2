"""Uploads over HTTP: streamed, whole or not at all, the team's own."""

import errno
import hashlib
import io
import os
import time
import tracemalloc
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
import sqlalchemy as sa

from app.api.once import Once
from app.problems import Problem
from app.storage.tables import jobs, schedules, teams, uploads
from app.teams import keys
from app.uploads.draft import safe_name
from app.uploads.retention import clear, forget
from tests.service import Service, serve

JSONL = b'{"text": "a"}\n{"text": "b"}\n'


def send(service: Service, name: str = "items.jsonl", data: Any = JSONL, **more: Any) -> Any:
    return service.client.post("/v1/uploads", files={"file": (name, data)}, **more)


def bearer(service: Service, team: str, role: str = "runner") -> dict[str, str]:
    return {"Authorization": f"Bearer {keys.create(service.database, team, role)[1]}"}


def on_disk(service: Service) -> list[str]:
    folder = service.settings.data_dir / "uploads"
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*")) if folder.is_dir() else []


def npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def test_a_file_is_kept_as_it_came(service: Service) -> None:
    answer = send(service)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert made["id"].startswith("upl_")
    assert (made["filename"], made["bytes"]) == ("items.jsonl", len(JSONL))
    assert made["sha256"] == hashlib.sha256(JSONL).hexdigest()
    assert answer.headers["location"] == f"/v1/uploads/{made['id']}"
    assert (service.settings.data_dir / "uploads" / made["id"] / "items.jsonl").read_bytes() == JSONL
    assert service.client.get(answer.headers["location"]).json() == made
    assert service.client.get("/v1/uploads").json()["items"] == [made]
    assert str(service.settings.data_dir) not in answer.text


def test_a_deleted_file_is_gone(service: Service) -> None:
    where = f"/v1/uploads/{send(service).json()['id']}"
    assert service.client.delete(where).status_code == 204
    assert on_disk(service) == []
    assert service.client.get(where).status_code == service.client.delete(where).status_code == 404
    assert service.client.get("/v1/uploads").json()["items"] == []


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/cron.d/x.csv", "x.csv"),
        ("C:\\Users\\me\\x.CSV", "x.csv"),
        ("/abs/olute.npz", "olute.npz"),
        ("..csv", "file.csv"),
        (".hidden.txt", "hidden.txt"),
        ("a\nb\0c.txt", "a_b_c.txt"),
        ("größe 1.zip", "gr_e_1.zip"),
        ("x" * 500 + ".parquet", "x" * 112 + ".parquet"),
    ],
)
def test_a_name_is_never_a_path(given: str, kept: str) -> None:
    assert safe_name(given) == kept


@pytest.mark.parametrize("name", ["model.pkl", "x.pth", "noending", "x.csv.exe", ".csv/"])
def test_an_unknown_kind_is_refused(steady: Service, name: str) -> None:
    answer = send(steady, name)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/file"
    assert ".parquet" in answer.json()["detail"]
    assert on_disk(steady) == []


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("x.parquet", b"PK\x03\x04" + 60 * b"\0"),
        ("x.zip", JSONL),
        ("x.npz", b"\x80\x04\x95" + 60 * b"\0"),
        ("x.npz", b"\x80"),
        ("x.safetensors", b"\x80\x04" + 60 * b"\0"),
        ("x.csv", b"PK\x03\x04" + 60 * b"\0"),
        ("x.txt", b""),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_refused(steady: Service, name: str, data: bytes) -> None:
    assert send(steady, name, data).status_code == 422
    assert on_disk(steady) == []


def test_known_kinds_are_taken(service: Service) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.png", b"x")
    for name, data in (("x.npz", npz(x=np.ones((2, 2)))), ("x.zip", archive.getvalue()), ("x.txt", b"a")):
        assert send(service, name, data).status_code == 201


@pytest.mark.parametrize(
    ("body", "status", "where"),
    [
        ({"files": {"fiel": ("a.csv", b"x")}}, 422, "/fiel"),
        ({"files": [("file", ("a.csv", b"x")), ("file", ("b.csv", b"x"))]}, 422, "/file"),
        ({"data": {"file": "text"}, "files": {}}, 415, None),
        ({"json": {"file": "x"}}, 415, None),
        ({"content": b"", "headers": {"Content-Type": "multipart/form-data"}}, 400, None),
        ({"content": b"junk", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 400, None),
        ({"content": b"--x--\r\n", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 422, "/file"),
        (
            {
                "content": b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\ntext\r\n--x--\r\n',
                "headers": {"Content-Type": "multipart/form-data; boundary=x"},
            },
            422,
            "/file",
        ),
        (
            {
                "content": b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\ntext\r\n--',
                "headers": {"Content-Type": "multipart/form-data; boundary=x"},
            },
            400,
            None,
        ),
    ],
)
def test_a_wrong_form_is_refused_and_leaves_nothing(
    steady: Service, body: dict[str, Any], status: int, where: str | None
) -> None:
    answer = steady.client.post("/v1/uploads", **body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json().get("errors", [{}])[0].get("pointer") == where
    assert on_disk(steady) == []


def ask(service: Service, messages: list[dict[str, Any]], sent: list[dict[str, Any]]) -> None:
    """Puts a request to the application as a server would."""
    headers = [(b"host", b"127.0.0.1"), (b"content-type", b"multipart/form-data; boundary=x")]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/v1/uploads",
        "raw_path": b"/v1/uploads",
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }

    async def run() -> None:
        todo = iter(messages)

        async def receive() -> dict[str, Any]:
            return next(todo)

        async def say(message: Any) -> None:
            sent.append(message)

        await service.app(scope, receive, say)

    anyio.run(run)


def test_a_lost_connection_leaves_nothing(steady: Service) -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
    chunks = [head, 2_000_000 * b"a"]
    sent: list[dict[str, Any]] = []
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    seen: list[list[str]] = []

    class Messages(list[dict[str, Any]]):
        def __iter__(self) -> Iterator[dict[str, Any]]:
            yield from messages
            seen.append(on_disk(steady))  # all that came was written before more was asked for
            yield {"type": "http.disconnect"}

    ask(steady, Messages(), sent)
    assert len(seen[0]) == 2
    assert seen[0][0].startswith(".upl_")
    assert on_disk(steady) == []
    assert sent[0]["status"] == 400
    assert steady.client.get("/v1/uploads").json()["items"] == []


def test_a_large_file_does_not_pass_through_memory(service: Service) -> None:
    size, piece = 200 << 20, os.urandom(1 << 16)
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.zip"\r\n\r\nPK'

    class Messages(list[dict[str, Any]]):
        def __iter__(self) -> Iterator[dict[str, Any]]:
            yield {"type": "http.request", "body": head, "more_body": True}
            for _ in range(size // len(piece)):
                yield {"type": "http.request", "body": piece, "more_body": True}
            yield {"type": "http.request", "body": b"\r\n--x--\r\n", "more_body": False}

    sent: list[dict[str, Any]] = []
    tracemalloc.start()
    try:
        ask(service, Messages(), sent)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sent[0]["status"] == 201
    assert service.client.get("/v1/uploads").json()["items"][0]["bytes"] == size + 2
    assert peak < 16 << 20  # a handful of pieces of a MiB, and what SQLAlchemy keeps of its statements


def test_a_body_beyond_the_limit_is_refused(tmp_path: Path, database: Any) -> None:
    service = serve(tmp_path, database, max_upload_mib=1)
    with service.client:
        assert send(service, "a.txt", (1 << 20) * b"a").status_code == 413

        def chunks() -> Iterator[bytes]:  # without a Content-Length
            yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
            for _ in range(40):
                yield (1 << 16) * b"a"

        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        assert service.client.post("/v1/uploads", content=chunks(), headers=headers).status_code == 413
        assert on_disk(service) == []


def test_a_team_keeps_no_more_than_its_quota(tmp_path: Path, database: Any) -> None:
    service = serve(tmp_path, database, max_stored_mib=1)
    with service.client:
        ours, theirs = bearer(service, "ours"), bearer(service, "theirs")
        big = 700_000 * b"a"
        first = send(service, "a.txt", big, headers=ours)
        assert first.status_code == 201
        second = send(service, "b.txt", big, headers=ours)
        assert second.status_code == 413
        assert "1 MiB" in second.json()["detail"]
        assert len(on_disk(service)) == 2  # a folder with a file
        assert send(service, "b.txt", big, headers=theirs).status_code == 201
        service.client.delete(f"/v1/uploads/{first.json()['id']}", headers=ours)
        assert send(service, "b.txt", big, headers=ours).status_code == 201


def test_of_two_at_once_that_do_not_both_fit_one_is_kept(tmp_path: Path, database: Any) -> None:
    service = serve(tmp_path, database, max_stored_mib=1)
    with service.client, ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(lambda n: send(service, f"{n}.txt", 700_000 * b"a").status_code, range(4)))
    assert sorted(statuses) == [201, 413, 413, 413]


def test_room_is_taken_before_the_disk_is(tmp_path: Path, database: Any) -> None:
    """While one file comes in, another that would not fit beside it is refused before it is written."""
    service = serve(tmp_path, database, max_stored_mib=1)
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
    seen: list[Any] = []

    class Messages(list[dict[str, Any]]):
        def __iter__(self) -> Iterator[dict[str, Any]]:
            yield {"type": "http.request", "body": head, "more_body": True}
            for _ in range(3):
                yield {"type": "http.request", "body": 250_000 * b"a", "more_body": True}
            with ThreadPoolExecutor(1) as pool:
                seen.append(pool.submit(send, service, "b.txt", 700_000 * b"b").result().status_code)
                seen.append(len(on_disk(service)))
                seen.append(pool.submit(service.client.get, "/v1/uploads").result().json()["items"])
                seen.append(pool.submit(service.client.get, "/v1/me").result().json()["use"]["stored_bytes"])
            yield {"type": "http.request", "body": b"\r\n--x--\r\n", "more_body": False}

    sent: list[dict[str, Any]] = []
    with service.client:
        ask(service, Messages(), sent)
        assert (sent[0]["status"], seen[:3]) == (201, [413, 2, []])
        assert seen[3] >= 750_000
        assert service.client.get("/v1/me").json()["use"]["stored_bytes"] == 750_000  # what was taken too much is back
        assert send(service, "c.txt", 290_000 * b"c").status_code == 201


def test_what_is_refused_or_lost_gives_its_room_back(service: Service) -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
    lost: list[dict[str, Any]] = [
        {"type": "http.request", "body": head + 2_000_000 * b"a", "more_body": True},
        {"type": "http.disconnect"},
    ]
    ask(service, lost, [])
    assert send(service, "x.parquet").status_code == 422
    assert service.client.get("/v1/me").json()["use"]["stored_bytes"] == 0


def test_room_that_a_dead_process_took_comes_back(service: Service) -> None:
    with service.database.write() as connection:
        team = connection.execute(sa.select(teams.c.id)).scalar_one()
        for upload, hours in (("upl_dead", 25), ("upl_coming", 1)):
            at = time.time() - hours * 3600
            values = {"id": upload, "team_id": team, "filename": "a.csv", "bytes": 10, "sha256": "", "created_at": at}
            connection.execute(uploads.insert().values(values))
    assert service.client.get("/v1/uploads/upl_coming").status_code == 404
    assert clear(service.settings, service.database) == 0
    with service.database.read() as connection:
        assert connection.execute(sa.select(uploads.c.id)).scalars().all() == ["upl_coming"]


def test_two_teams_are_blind_to_one_another(service: Service) -> None:
    ours, theirs = bearer(service, "ours"), bearer(service, "theirs", "admin")
    where = f"/v1/uploads/{send(service, headers=ours).json()['id']}"
    assert service.client.get(where, headers=ours).status_code == 200
    assert service.client.get(where, headers=theirs).status_code == 404
    assert service.client.delete(where, headers=theirs).status_code == 404
    assert service.client.get("/v1/uploads", headers=theirs).json()["items"] == []
    model = {"name": "m", "source": {"type": "features", "upload": where.rpartition("/")[2]}}
    assert service.client.post("/v1/models", json=model, headers=theirs).status_code == 422
    assert send(service, headers=bearer(service, "ours", "reader")).status_code == 403
    assert service.client.delete(where, headers=bearer(service, "ours")).status_code == 403  # another key sent it
    assert service.client.delete(where, headers=bearer(service, "ours", "admin")).status_code == 204


def test_the_same_key_keeps_one_file(service: Service) -> None:
    headers = {"Idempotency-Key": "k"}
    first, again = send(service, headers=headers), send(service, headers=headers)
    assert (again.status_code, again.json()) == (201, first.json())
    assert len(on_disk(service)) == 2
    assert send(service, data=b'{"text": "c"}', headers=headers).status_code == 409
    assert len(on_disk(service)) == 2


def test_what_is_needed_is_not_deleted(service: Service) -> None:
    upload = send(service, "f.npz", npz(l0=np.ones((3, 2), np.float32))).json()["id"]
    body = {"name": "m", "source": {"type": "features", "upload": upload}}
    model = service.client.post("/v1/models", json=body).json()["id"]
    where = f"/v1/uploads/{upload}"
    refused = service.client.delete(where)
    assert refused.status_code == 409
    assert model in refused.json()["detail"]
    service.client.delete(f"/v1/models/{model}")
    with service.database.write() as connection:
        row = {"kind": "comparison", "team_id": "t", "queue": "score", "priority": 5, "request": {}, "created_at": 0.0}
        payload = {"a": {"reference": f"features:/x/{upload}/f.npz"}}
        connection.execute(jobs.insert().values(id="cmp_1", state="waiting", payload=payload, **row))
    assert service.client.delete(where).status_code == 409
    with service.database.write() as connection:
        connection.execute(jobs.update().values(state="cancelled"))
        study = {"models": ["a", "b"], "reference": {"kind": "kernel", "upload": upload}}
        rule = {"name": "nightly", "cron": "0 3 * * *", "timezone": "UTC", "kind": "study", "request": study}
        state = {"catch_up": True, "overlap": "skip", "paused": False, "alerting": False}
        times = {"created_at": 0.0, "updated_at": 0.0}
        connection.execute(schedules.insert().values(id="sch_1", team_id="t", **rule, **state, **times))
    assert "the schedule sch_1" in service.client.delete(where).json()["detail"]
    assert forget(service.settings, service.database, -3600) == 0
    with service.database.write() as connection:
        connection.execute(schedules.delete())
    assert service.client.delete(where).status_code == 204
    assert on_disk(service) == []


def test_the_form_is_described(service: Service) -> None:
    body = service.client.get("/openapi.json").json()["paths"]["/v1/uploads"]["post"]["requestBody"]
    assert body["content"]["multipart/form-data"]["schema"]["properties"]["file"]["format"] == "binary"


def rows(service: Service) -> int:
    with service.database.read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(uploads)).scalar_one())


def test_a_file_that_cannot_be_begun_gives_its_room_back(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(Path, "mkdir", full)
    assert send(service).status_code == 503
    assert rows(service) == 0


def test_an_entry_that_is_not_committed_gives_its_room_back(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(once: Once, team: str, step: Any, content: str = "") -> Any:
        with service.database.write() as connection:
            step(connection)
            raise Problem(503, "the database was lost at the commit")

    monkeypatch.setattr(Once, "answer", answer)
    assert send(service).status_code == 503
    assert (rows(service), on_disk(service)) == (0, [])

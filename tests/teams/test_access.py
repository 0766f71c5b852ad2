"""Access: 401 without a key, 403 without the role, loopback alone while no key exists, 429 beyond the rate."""

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.storage import Database
from app.teams import keys
from tests.service import Service, serve

MINILM = {"name": "m", "source": {"type": "builtin", "id": "minilm-l6"}}


def bearer(service: Service, team: str, role: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {keys.create(service.database, team, role)[1]}"}


def came_from(service: Service, address: str, host: str = "127.0.0.1") -> TestClient:
    return TestClient(service.app, f"http://{host}", client=(address, 1), raise_server_exceptions=False)


@pytest.mark.parametrize(
    ("address", "host", "status"),
    [
        ("127.0.0.1", "127.0.0.1:8321", 200),
        ("127.0.0.1", "localhost", 200),
        ("::1", "[::1]:8321", 200),
        ("::ffff:127.0.0.1", "localhost", 200),
        ("10.0.0.5", "127.0.0.1", 401),
        ("10.0.0.5", "localhost", 401),
        ("fe80::1", "[::1]", 401),
        ("127.0.0.1", "rebound.example", 401),  # a page whose name was made to point here
        ("127.0.0.1", "localhost.evil.example", 401),
        ("127.0.0.1", "127.0.0.1.evil.example", 401),
    ],
)
def test_without_keys_only_loopback_asks_and_by_its_own_name(
    steady: Service, address: str, host: str, status: int
) -> None:
    answer = came_from(steady, address, host).get("/v1/me")
    assert answer.status_code == status
    if status == 200:
        assert {name: answer.json()[name] for name in ("team", "role", "key")} == {
            "team": "default",
            "role": "admin",
            "key": None,
        }


def test_once_a_key_exists_nobody_asks_without_one(service: Service) -> None:
    assert service.client.get("/v1/me").status_code == 200
    key_id, key = keys.create(service.database, "team", "reader")
    for headers in ({}, {"Authorization": f"Basic {key}"}, {"Authorization": key}, {"Authorization": "Bearer"}):
        answer = service.client.get("/v1/me", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.headers["content-type"] == "application/problem+json"
    ours = {"Authorization": f"Bearer {key}"}
    assert came_from(service, "10.0.0.5", "accord.example").get("/v1/me", headers=ours).json()["key"] == key_id
    keys.revoke(service.database, key_id)
    assert service.client.get("/v1/me", headers=ours).status_code == 401
    assert service.client.get("/v1/me").status_code == 401
    assert service.client.get("/healthz").status_code == 200


def test_that_a_key_was_revoked_is_told_to_whoever_holds_the_whole_of_it(service: Service) -> None:
    key_id, key = keys.create(service.database, "team", "reader")
    keys.create(service.database, "team", "reader")

    def said(given: str) -> str:
        answer = service.client.get("/v1/me", headers={"Authorization": f"Bearer {given}"})
        assert answer.status_code == 401
        return str(answer.json()["detail"])

    guess = "_".join([*key.split("_", 2)[:2], keys.generate().split("_", 2)[2]])  # its id, which many may have seen
    unknown = said(keys.generate())
    assert "knows no such key" in unknown
    assert said("hunter2") == said(guess) == unknown
    keys.revoke(service.database, key_id)
    assert "was revoked" in said(key)
    assert said(guess) == unknown
    assert "a key is needed" in service.client.get("/v1/me").json()["detail"]


def test_a_wrong_key_is_nobodys_even_from_loopback(service: Service) -> None:
    answer = service.client.get("/v1/me", headers={"Authorization": f"Bearer {keys.generate()}"})
    assert answer.status_code == 401


def test_each_role_may_what_it_may(service: Service) -> None:
    may: dict[str, tuple[int, int, int]] = {
        "reader": (200, 403, 403),
        "runner": (200, 201, 403),
        "admin": (200, 409, 200),
    }
    for role, (reads, registers, audits) in may.items():
        headers = bearer(service, "team", role)
        assert service.client.get("/v1/models", headers=headers).status_code == reads
        assert service.client.post("/v1/models", json=MINILM, headers=headers).status_code == registers
        audit = service.client.get("/v1/audit", headers=headers)
        assert audit.status_code == audits
        if audits == 403:
            assert role in audit.json()["detail"]
            assert "admin" in audit.json()["detail"]


def test_a_key_that_asks_too_often_waits(tmp_path: Path, database: Database) -> None:
    service = serve(tmp_path, database, rate_limit="3/minute")
    with service.client:
        one, other = bearer(service, "team", "reader"), bearer(service, "team", "reader")
        statuses = [service.client.get("/v1/me", headers=one).status_code for _ in range(3)]
        assert statuses == [200, 200, 200]
        refused = service.client.get("/v1/me", headers=one)
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert refused.headers["retry-after"] in refused.json()["detail"]
        assert service.client.get("/v1/me", headers=other).status_code == 200
        assert service.client.get("/healthz").status_code == 200  # nobody's


def test_what_is_refused_counts_too(tmp_path: Path, database: Database) -> None:
    service = serve(tmp_path, database, rate_limit="2/minute")
    with service.client:
        headers = bearer(service, "team", "reader")
        statuses = [service.client.get("/v1/audit", headers=headers).status_code for _ in range(3)]
    assert statuses == [403, 403, 429]


def test_me_says_what_may_be_had_and_what_is(tmp_path: Path, database: Database) -> None:
    service = serve(tmp_path, database, max_stored_mib=7, max_queued=5)
    with service.client:
        ours = bearer(service, "ours", "runner")

        def me() -> Any:
            return service.client.get("/v1/me", headers=ours).json()

        assert me()["limits"]["stored_mib"] == 7
        assert me()["limits"]["queued"] == 5
        assert me()["use"] == {"stored_bytes": 0, "queued": 0, "models": 0, "probes": 0}
        service.client.post("/v1/uploads", files={"file": ("a.txt", b"abc")}, headers=ours)
        made = service.client.post("/v1/models", json=MINILM, headers=ours).json()
        service.client.post("/v1/models", json=MINILM, headers=bearer(service, "theirs", "runner"))
        assert me()["use"] == {"stored_bytes": 3, "queued": 0, "models": 1, "probes": 0}
        service.client.delete(f"/v1/models/{made['id']}", headers=ours)
        assert me()["use"]["models"] == 0


def test_the_audit_tells_who_did_what_in_ones_own_team(service: Service) -> None:
    key_id, key = keys.create(service.database, "ours", "admin")
    ours = {"Authorization": f"Bearer {key}"}
    theirs = bearer(service, "theirs", "admin")
    made = service.client.post("/v1/models", json=MINILM, headers={**ours, "X-Request-ID": "mine"}).json()
    service.client.delete(f"/v1/models/{made['id']}", headers=ours)
    service.client.post("/v1/models", json={**MINILM, "name": "?"}, headers=ours)  # refused: nothing to note
    service.client.post("/v1/models", json=MINILM, headers=theirs)
    answer = service.client.get("/v1/audit", headers=ours).json()
    assert [entry["action"] for entry in answer["items"]] == ["model.delete", "model.create", "key.create"]
    entry = answer["items"][1]
    assert (entry["key"], entry["resource"], entry["request_id"]) == (key_id, made["id"], "mine")
    assert entry["detail"] == {"name": "m"}
    assert entry["at"].endswith("Z")
    first = service.client.get("/v1/audit?limit=2", headers=ours).json()
    rest = service.client.get(f"/v1/audit?limit=2&cursor={first['next_cursor']}", headers=ours).json()
    assert first["items"] + rest["items"] == answer["items"]
    assert rest["next_cursor"] is None
    for query, count in (("action=model.create", 1), (f"resource={made['id']}", 2), (f"key={key_id}", 2), ("key=x", 0)):
        assert len(service.client.get(f"/v1/audit?{query}", headers=ours).json()["items"]) == count
    assert key.split("_", 2)[2] not in str(answer)


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://127.0.0.1", 200), ("https://evil.example", 401), ("http://127.0.0.1:9", 401), ("null", 401)],
)
def test_without_keys_no_page_of_another_site_asks_through_a_browser(steady: Service, origin: str, status: int) -> None:
    assert came_from(steady, "127.0.0.1").get("/v1/me", headers={"Origin": origin}).status_code == status


@pytest.mark.parametrize("name", ["Forwarded", "X-Forwarded-For", "X-Real-IP", "Via"])
def test_without_keys_a_proxy_of_this_machine_lets_nobody_in(steady: Service, name: str) -> None:
    assert came_from(steady, "127.0.0.1").get("/v1/me", headers={name: "203.0.113.9"}).status_code == 401

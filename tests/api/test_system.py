"""Health, readiness, figures, errors and headers of the running application."""

import asyncio
import re
import threading

import pytest
from fastapi import Response
from starlette.middleware.gzip import GZipResponder

from app.scoring.found import NPZ
from tests.service import Service


def test_a_process_that_answers_is_healthy(service: Service) -> None:
    answer = service.client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_it_is_not_ready_without_a_worker(service: Service) -> None:
    answer = service.client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "database": "ok", "queue": "ok", "workers": 0}


def test_every_error_is_a_problem_document(service: Service) -> None:
    answer = service.client.get("/nothing")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(answer.json()) == {"type", "title", "status", "detail"}
    assert service.client.put("/healthz").status_code == 405


def test_a_request_has_an_id_and_keeps_the_one_it_came_with(service: Service) -> None:
    assert service.client.get("/healthz").headers["x-request-id"].startswith("req_")
    assert service.client.get("/healthz", headers={"X-Request-ID": "mine"}).headers["x-request-id"] == "mine"
    assert "\n" not in service.client.get("/healthz", headers={"X-Request-ID": "a b"}).headers["x-request-id"]


def test_figures_count_requests_by_route(service: Service) -> None:
    service.client.get("/healthz")
    text = service.client.get("/metrics").text
    assert 'accord_http_requests_total{method="GET",route="/healthz",status="200"} 1.0' in text
    assert "accord_workers 0.0" in text
    assert "accord_webhooks_pending 0.0" in text


def test_a_body_that_turns_out_too_long_is_said_to_be(service: Service) -> None:
    limit = service.settings.max_body_mib << 20
    pieces = (b" " * 65536 for _ in range(limit // 65536 + 2))  # without a length, so that it is seen on the way alone
    answer = service.client.post("/v1/comparisons", content=pieces, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert "4 MiB" in answer.json()["detail"]


def test_a_body_that_is_nested_too_deep_is_no_mistake_of_the_servers(service: Service) -> None:
    for path in ("/v1/probes", "/v1/comparisons"):
        headers = {"Content-Type": "application/json", "Idempotency-Key": "deep"}
        assert service.client.post(path, content=b"[" * 100_000, headers=headers).status_code == 400


def test_the_docs_load_nothing_from_elsewhere(service: Service) -> None:
    page = service.client.get("/docs")
    assert page.status_code == 200
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(loaded) == 4
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    for place in loaded:
        answer = service.client.get(f"/{place}")  # relative to the page, which is at the root
        assert answer.status_code == 200, place
        assert len(answer.content) > 100
    assert "<script>" not in page.text
    for outside in ("settings.py", "..%2f__init__.py", "redoc.standalone.js"):
        assert service.client.get(f"/docs/{outside}").status_code in (404, 422)


@pytest.mark.parametrize(("size", "threads"), [(10_000, 0), (1_000_000, 1)])
def test_a_long_answer_is_compressed_beside_the_event_loop(
    service: Service, monkeypatch: pytest.MonkeyPatch, size: int, threads: int
) -> None:
    main: list[int] = []
    compressed: list[int] = []
    compress = GZipResponder._compress_body

    def noted(self: GZipResponder, body: bytes, more_body: bool) -> bytes:
        compressed.append(threading.get_ident())
        return compress(self, body, more_body)

    monkeypatch.setattr(GZipResponder, "_compress_body", noted)

    @service.app.get("/long")
    async def long() -> Response:
        main.append(threading.get_ident())
        return Response(b"a" * size, media_type="text/plain")

    assert service.client.get("/long", headers={"Accept-Encoding": "gzip"}).content == b"a" * size
    assert (len(main), len(compressed)) == (1, 1)
    assert (main != compressed) == bool(threads)


def test_what_is_compressed_already_is_not_again(service: Service) -> None:
    @service.app.get("/packed")
    async def packed() -> Response:
        return Response(b"a" * 10_000, media_type=NPZ)

    answer = service.client.get("/packed", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in answer.headers


def test_the_document_is_made_beside_the_event_loop(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def made() -> dict[str, bool]:
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
        return {"made": True}

    monkeypatch.setattr(service.app, "openapi", made)
    assert service.client.get("/openapi.json").json() == {"made": True}

"""Middleware: an id a request, one log line, figures, limits on bodies, and headers that browsers heed."""

from __future__ import annotations

import re
import time
from contextlib import suppress

import structlog
from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from ulid import ULID

from app.api.errors import METHODS, respond
from app.api.figures import Requests
from app.problems import Problem
from app.settings import Settings

_LOG = structlog.get_logger("accord.http")
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,60}")
_UPLOADS = ("/v1/uploads", "/v1/probes")
_QUIET = ("/healthz", "/readyz", "/metrics")  # asked each few seconds by machines
_COMPRESSED_FROM = 2000  # bytes
_IN_A_THREAD_FROM = 1 << 15  # bytes: what is shorter takes less than a millisecond, in which nobody else is answered
_MIB = 1 << 20
# Values that a JSON body may hold, told by its commas: an error is made for each that is wrong, and some take a
# millisecond. No request that can be met has so many.
_MOST_VALUES = 50_000


def install(app: FastAPI, settings: Settings) -> None:
    """Adds the middleware, the innermost first."""
    app.add_middleware(
        GZipMiddleware,
        minimum_size=_COMPRESSED_FROM,
        compresslevel=5,
        thread_minimum_size=_IN_A_THREAD_FROM,
        exclude_content_types=(*DEFAULT_EXCLUDED_CONTENT_TYPES, "application/vnd.numpy.npz"),
    )
    app.add_middleware(_BodyLimit, body=settings.max_body_mib * _MIB, upload=settings.max_upload_mib * _MIB)
    app.add_middleware(_Watch, figures=app.state.requests)


class _Watch:
    """Gives each request an id, logs it once and counts it."""

    def __init__(self, app: ASGIApp, figures: Requests) -> None:
        self._app, self._figures = app, figures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else f"req_{str(ULID()).lower()}"
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        started, status = time.perf_counter(), 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                headers.setdefault("X-Content-Type-Options", "nosniff")
                headers.setdefault("Referrer-Policy", "no-referrer")
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            seconds = time.perf_counter() - started
            # The route's own pattern: an id in a label would make a series a request.
            route = getattr(scope.get("route"), "path", "none")
            method = scope["method"] if scope["method"] in METHODS else "other"  # anyone may send any word as one
            self._figures.count(method, route, status, seconds)
            if scope["path"] not in _QUIET:
                _LOG.info(
                    "request",
                    method=scope["method"],
                    path=scope["path"],
                    status=status,
                    milliseconds=round(1000 * seconds, 1),
                )


class _BodyLimit:
    """Refuses a body that is too long, or JSON of too many values, as soon as it is seen to be."""

    def __init__(self, app: ASGIApp, body: int, upload: int) -> None:
        self._app, self._body, self._upload = app, body, upload

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        is_upload = scope["path"] in _UPLOADS and headers.get("content-type", "").startswith("multipart/")
        most = self._upload if is_upload else self._body
        problem = Problem(
            413,
            f"the body is longer than {most // _MIB} MiB; send less, or ask the operator for more",
            headers={"Connection": "close"},
        )
        with suppress(ValueError):
            if int(headers.get("content-length", "0")) > most:
                await respond(problem)(scope, receive, send)
                return
        crowded = Problem(
            413,
            f"the body holds more than {_MOST_VALUES:,} values; send less",
            headers={"Connection": "close"},
        )
        seen = values = 0

        async def counted() -> Message:
            nonlocal seen, values
            message = await receive()
            body = message.get("body", b"")
            seen += len(body)
            if seen > most:
                raise problem
            values += 0 if is_upload else body.count(b",")
            if values > _MOST_VALUES:
                raise crowded
            return message

        await self._app(scope, counted, send)

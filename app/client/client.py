"""Client: the requests to a running service, each safe to send again."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from alignment.errors import RequestError, WorkError

_TRIES = 5
_PAUSE = 0.5  # seconds before the first retry; each further one waits double
_AGAIN = (429, 502, 503, 504)
ENDED = ("succeeded", "failed", "cancelled")


class ServiceError(WorkError):
    """A service that could not be reached, or could not do what it was asked."""


class Client:
    """A service, from here.

    Use it as a context. Every POST that makes something carries an `Idempotency-Key`, so that one whose answer was lost
    is sent again without doing it twice.
    """

    def __init__(self, url: str, key: str | None = None, *, transport: httpx.BaseTransport | None = None) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=60.0, transport=transport)
        self._url = url

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str, **query: Any) -> Any:
        """Returns what a path answers, as JSON; as bytes if it is none.

        Raises:
            RequestError: if the service refuses it, in its own words.
            ServiceError: if it cannot be reached, or fails.
        """
        given = {name: value for name, value in query.items() if value is not None}
        return _content(self._send("GET", path, params=given))

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Returns what a POST of JSON answers; errors as `get`'s."""
        return _content(self._send("POST", path, json=body, headers={"Idempotency-Key": uuid.uuid4().hex}))

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        """Returns what a PATCH answers; errors as `get`'s."""
        return _content(self._send("PATCH", path, json=body))

    def delete(self, path: str) -> None:
        """Deletes; errors as `get`'s."""
        self._send("DELETE", path)

    def upload(self, path: str, file: Path, **fields: str) -> Any:
        """Returns what a POST of a file answers.

        Raises:
            RequestError: if the file cannot be read, or is refused.
            ServiceError: if the service cannot be reached, or fails.
        """
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        try:
            with file.open("rb") as content:
                files = {"file": (file.name, content)}
                return _content(self._send("POST", path, files=files, data=fields, headers=headers, tries=1))
        except OSError as error:
            raise RequestError(f"{file} cannot be read ({error.strerror}); name a file that can") from error

    def follow(self, path: str) -> Iterator[Mapping[str, Any]]:
        """Yields a job as it changes, the last time when it has ended.

        Args:
            path: the job's, as `/v1/comparisons/cmp_…`.

        Raises:
            RequestError: if there is no such job.
            ServiceError: if the service stays away.
        """
        seen: str | None = None
        failures = 0
        while True:
            try:
                headers = {"Accept": "text/event-stream", **({"Last-Event-ID": seen} if seen else {})}
                with self._http.stream("GET", f"{path}/events", headers=headers, timeout=30.0) as response:
                    if response.is_error:
                        response.read()
                        _raise(response)
                    if response.status_code == 204:  # its end was told, and the look after it was not answered
                        yield self.get(path)
                        return
                    for event, number, data in _events(response.iter_lines()):
                        failures, seen = 0, number
                        if event in ENDED:
                            yield self.get(path)
                            return
                        yield data
            except (httpx.HTTPError, ServiceError) as error:
                failures += 1
                if failures >= _TRIES:
                    raise ServiceError(
                        f"the service at {self._url} stopped answering ({type(error).__name__})"
                    ) from error
            time.sleep(_PAUSE)

    def _send(self, method: str, path: str, *, tries: int = _TRIES, **request: Any) -> httpx.Response:
        pause = _PAUSE
        for left in range(tries - 1, -1, -1):
            try:
                response = self._http.request(method, path, **request)
            except httpx.HTTPError as error:
                if not left:
                    raise ServiceError(
                        f"the service at {self._url} cannot be reached ({type(error).__name__}); start it with "
                        "`accord serve`, or set ACCORD_URL"
                    ) from error
            else:
                if not (response.status_code in _AGAIN and left):
                    if response.is_error:
                        _raise(response)
                    return response
                pause = min(float(response.headers.get("retry-after", pause)), 30.0)
            time.sleep(pause)
            pause *= 2
        raise AssertionError("unreachable")


def _events(lines: Iterator[str]) -> Iterator[tuple[str, str | None, Any]]:
    """Yields the event, id and data of each server-sent event."""
    event, number, data = "message", None, ""
    for line in lines:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield event, number, json.loads(data)
            event, data = "message", ""
        elif name == "event":
            event = value
        elif name == "id":
            number = value
        elif name == "data":
            data += value


def _raise(response: httpx.Response) -> None:
    try:
        detail = str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        detail = f"the service answered {response.status_code}"
    if response.status_code >= 500:
        raise ServiceError(detail)
    raise RequestError(detail)


def _content(response: httpx.Response) -> Any:
    if response.headers.get("content-type", "").startswith("application/json"):
        return response.json()
    return response.content

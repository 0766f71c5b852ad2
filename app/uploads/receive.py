"""Receive: a form with one file in it, written to disk as it comes in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from app.api.body import closest
from app.api.state import State
from app.problems import invalid
from app.storage import new_id
from app.teams.principal import Principal
from app.uploads import service
from app.uploads.draft import Draft, safe_name
from app.uploads.form import Part, parts

_FILE = "file"
_PIECE = 1 << 20  # bytes handed to the disk at once
_LONGEST_FIELD = 1 << 16


@dataclass
class Received:
    """A form.

    Attributes:
        draft: its file, whole.
        fields: its other fields.
    """

    draft: Draft
    fields: Mapping[str, str]


@asynccontextmanager
async def receive(
    state: State, principal: Principal, request: Request, fields: Sequence[str] = ()
) -> AsyncIterator[Received]:
    """Yields the form that a request holds; its file is gone afterwards unless it was entered as an upload.

    Args:
        state: of the application.
        principal: who asks.
        request: the request, its body not yet read.
        fields: the fields that the form may have beside `file`.

    Raises:
        Problem: 400 or 415 if it is no form; 413 if the team has no room; 422 for what it lacks or should not have.
    """
    length = request.headers.get("content-length", "")
    expected = int(length) if length.isascii() and length.isdigit() else None
    reader = _Reader(state, partial(service.reserve, state, principal, expected=expected), fields)
    try:
        async for event in parts(request):
            if isinstance(event, Part):
                await reader.begin(event)
            else:
                await reader.take(event)
        yield Received(await reader.finish(), reader.fields)
    finally:
        # Whether it is an upload now the database alone can say: its transaction may fail at the very end.
        if reader.draft is not None and await run_in_threadpool(service.release, state, reader.draft):
            await run_in_threadpool(reader.draft.discard)


class _Reader:
    def __init__(self, state: State, reserve: Callable[[Draft], int], known: Sequence[str]) -> None:
        self._state, self._reserve, self._known = state, reserve, (_FILE, *known)
        self._part: str | None = None
        self._buffer = bytearray()
        self.draft: Draft | None = None
        self._values: dict[str, bytes] = {}

    @property
    def fields(self) -> dict[str, str]:
        found = {}
        for name, value in self._values.items():
            try:
                found[name] = value.decode()
            except UnicodeDecodeError as error:
                raise invalid(f"/{name}", "it is no text in UTF-8; send it anew") from error
        return found

    async def begin(self, part: Part) -> None:
        await self._flush()
        if part.name not in self._known:
            hint = closest(part.name, self._known)
            raise invalid(f"/{part.name[:100]}", f"there is no field {part.name[:100]!r}; {hint}")
        if (self.draft is not None) if part.name == _FILE else part.name in self._values:
            raise invalid(f"/{part.name}", "it is there more than once; send one")
        self._part = part.name
        if part.name != _FILE:
            self._values[part.name] = b""
            return
        if not part.filename:
            raise invalid("/file", "it is no file; send it with its name, as a browser or curl -F file=@NAME does")
        name = safe_name(part.filename)
        self.draft = Draft(self._state.settings, new_id("upload"), name, self._reserve)
        await run_in_threadpool(self.draft.begin)

    async def take(self, data: bytes) -> None:
        if self._part == _FILE:
            self._buffer += data
            if len(self._buffer) >= _PIECE:
                await self._flush()
        elif self._part is not None:
            self._values[self._part] += data
            if len(self._values[self._part]) > _LONGEST_FIELD:
                raise invalid(f"/{self._part}", f"it is longer than {_LONGEST_FIELD} bytes; send less")

    async def finish(self) -> Draft:
        await self._flush()
        if self.draft is None:
            raise invalid("/file", "it is missing; send the file in the form's field `file`")
        await run_in_threadpool(self.draft.finish)
        return self.draft

    async def _flush(self) -> None:
        if self._buffer and self.draft is not None:
            data, self._buffer = bytes(self._buffer), bytearray()
            await run_in_threadpool(self.draft.write, data)

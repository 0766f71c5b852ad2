"""Registration: a probe set is read, by what it comes from, and then takes its place in the table."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from anyio import CapacityLimiter, to_thread
from fastapi import Response
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool

from alignment.errors import RequestError
from app.api.body import check
from app.api.once import Answer, Once
from app.api.state import State
from app.probes import preview
from app.probes.reading import BUILTIN, Facts, builtin_facts, read
from app.probes.schemas import HuggingFaceProbe, NewForm, NewProbe, Probe, UploadedProbe
from app.probes.service import register
from app.problems import invalid
from app.settings import Settings
from app.teams.principal import Principal, require_admin
from app.uploads import service as uploads
from app.uploads.files import path_of
from app.uploads.receive import Received


async def from_source(
    state: State, principal: Principal, once: Once, reading: CapacityLimiter, new: NewProbe
) -> Response:
    """Registers the probe set that a request's source names.

    Args:
        state: of the application.
        principal: who asks.
        once: whether it was asked for before.
        reading: how many sets may be read at once; they are held in memory.
        new: what is asked for.

    Raises:
        Problem: 422, which points at what is wrong with its source; 403 or 409 for its name.
    """
    source = new.source
    if isinstance(source, HuggingFaceProbe):
        raise invalid(
            "/source/type",
            "data sets of the hub are not read from here; download the .parquet file of its split, send it with "
            "POST /v1/uploads and name that as {'type': 'upload', 'upload': 'upl_…', 'columns': {…}}",
        )
    if new.shared:
        require_admin(principal, "sharing a probe set with every team")
    if isinstance(source, UploadedProbe):
        row = await run_in_threadpool(_upload, state, principal, source.upload)
        path, name = path_of(state.settings, row), str(row["filename"])
        reference = str(path)
        facts = await _look(
            reading, "/source/upload", lambda: _read(state.settings, path, name, source.columns.named())
        )
    else:
        reference = BUILTIN + source.id
        facts = await _look(reading, "/source/id", lambda: builtin_facts(source.id))

    def step(connection: Connection) -> Answer:
        if isinstance(source, UploadedProbe):  # which must still be there
            uploads.get(connection, principal, source.upload, "/source/upload", hold=True)
        return _answer(Probe.of(register(state, connection, principal, new, reference, facts)))

    return await run_in_threadpool(once.answer, principal.team, step)


async def from_form(
    state: State, principal: Principal, once: Once, reading: CapacityLimiter, form: Received
) -> Response:
    """Registers the probe set in a form's file, which becomes an upload of the team.

    Args:
        state: of the application.
        principal: who asks.
        once: whether it was asked for before.
        reading: how many sets may be read at once.
        form: the form.

    Raises:
        Problem: 422, which points at what is wrong with a field; 403 or 409 for its name.
    """
    draft = form.draft
    new = _new(form.fields, draft.id)
    if new.shared:
        require_admin(principal, "sharing a probe set with every team")
    columns = new.source.columns.named() if isinstance(new.source, UploadedProbe) else {}
    facts = await _look(reading, "/file", lambda: _read(state.settings, draft.path, draft.filename, columns))

    def step(connection: Connection) -> Answer:
        uploads.enter(state, connection, principal, draft)
        made = Probe.of(register(state, connection, principal, new, str(draft.path), facts))
        form.kept = True
        return _answer(made)

    content = json.dumps([draft.filename, draft.sha256, *sorted(form.fields.items())])
    return await run_in_threadpool(once.answer, principal.team, step, content)


def _answer(made: Probe) -> Answer:
    return Answer(201, made, {"Location": f"/v1/probes/{made.id}"})


def _upload(state: State, principal: Principal, upload_id: str) -> Any:
    with state.database.read() as connection:
        return uploads.get(connection, principal, upload_id, "/source/upload")


async def _look(reading: CapacityLimiter, pointer: str, look: Callable[[], Facts]) -> Facts:
    try:
        return await to_thread.run_sync(look, limiter=reading)
    except RequestError as error:
        raise invalid(pointer, str(error)) from error


def _read(settings: Settings, path: Path, name: str, columns: Mapping[str, str]) -> Facts:
    probe = read(path, name, columns)
    facts = Facts.of(probe)
    preview.keep(settings, facts.sha256, preview.make(probe))
    return facts


def _new(fields: Mapping[str, str], upload_id: str) -> NewProbe:
    """Returns what a form asks for."""
    columns: Any = {}
    if fields.get("columns", "").strip():
        try:
            columns = json.loads(fields["columns"])
        except (ValueError, RecursionError) as error:
            raise invalid("/columns", f'it is no JSON ({error}); write it as {{"text": "caption"}}') from error
    asked = check({**fields, "columns": columns}, NewForm)
    source = UploadedProbe(type="upload", upload=upload_id, columns=asked.columns)
    return NewProbe(name=asked.name, source=source, shared=asked.shared)

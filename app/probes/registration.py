"""Registration: a probe set is read, by what it comes from, and then takes its place in the table."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Mapping
from typing import Any, TypeVar

from fastapi import Response
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool

from alignment.errors import ReferenceError, RequestError
from alignment.probes import DatasetRef
from app.api.body import check
from app.api.once import Answer, Once
from app.api.state import State
from app.probes.reader import Reader
from app.probes.reading import Facts
from app.probes.schemas import HuggingFaceProbe, NewForm, NewProbe, Probe, UploadedProbe
from app.probes.service import register
from app.problems import invalid
from app.teams.principal import Principal, require_admin
from app.uploads import service as uploads
from app.uploads.files import path_of
from app.uploads.receive import Received

T = TypeVar("T")


async def from_source(state: State, principal: Principal, once: Once, reader: Reader, new: NewProbe) -> Response:
    """Registers the probe set that a request's source names.

    Args:
        state: of the application.
        principal: who asks.
        once: whether it was asked for before.
        reader: reads it.
        new: what is asked for.

    Raises:
        Problem: 422, which points at what is wrong with its source; 403 or 409 for its name.
    """
    source = new.source
    if new.shared:
        require_admin(principal, "sharing a probe set with every team")
    again = await run_in_threadpool(once.again, principal.team)
    if again is not None:  # whatever became of its source meanwhile
        return again
    if isinstance(source, HuggingFaceProbe):
        reference = str(_dataset(source))
        facts = await _at("/source", reader.look(principal.team, reference, reference, source.columns.named()))
    elif isinstance(source, UploadedProbe):
        row = await run_in_threadpool(_upload, state, principal, source.upload)
        reference, name = str(path_of(state.settings, row)), str(row["filename"])
        looking = reader.look(principal.team, reference, name, source.columns.named())
        facts = await _at("/source/upload", looking)
    else:
        facts = Facts(**await _at("/source/id", run_in_threadpool(state.builtin, source.id)))

    def step(connection: Connection) -> Answer:
        if isinstance(source, UploadedProbe):  # which must still be there
            uploads.get(connection, principal, source.upload, "/source/upload", hold=True)
        return _answer(Probe.of(register(state, connection, principal, new, facts)))

    return await run_in_threadpool(once.answer, principal.team, step)


async def from_form(state: State, principal: Principal, once: Once, reader: Reader, form: Received) -> Response:
    """Registers the probe set in a form's file, which becomes an upload of the team.

    Args:
        state: of the application.
        principal: who asks.
        once: whether it was asked for before.
        reader: reads it.
        form: the form.

    Raises:
        Problem: 422, which points at what is wrong with a field; 403 or 409 for its name.
    """
    draft = form.draft
    new = _new(form.fields, draft.id)
    if new.shared:
        require_admin(principal, "sharing a probe set with every team")
    content = json.dumps([draft.filename, draft.sha256, *sorted(form.fields.items())])
    again = await run_in_threadpool(once.again, principal.team, content)
    if again is not None:  # it is not read again
        return again
    columns = new.source.columns.named() if isinstance(new.source, UploadedProbe) else {}
    facts = await _at("/file", reader.look(principal.team, str(draft.path), draft.filename, columns))

    def step(connection: Connection) -> Answer:
        uploads.enter(state, connection, principal, draft)
        return _answer(Probe.of(register(state, connection, principal, new, facts)))

    return await run_in_threadpool(once.answer, principal.team, step, content)


def _answer(made: Probe) -> Answer:
    return Answer(201, made, {"Location": f"/v1/probes/{made.id}"})


def _upload(state: State, principal: Principal, upload_id: str) -> Any:
    with state.database.read() as connection:
        return uploads.get(connection, principal, upload_id, "/source/upload")


def _dataset(source: HuggingFaceProbe) -> DatasetRef:
    """Returns what a source spells, each part of it checked by itself."""
    parts = {
        "id": DatasetRef(source.id),
        "revision": DatasetRef("x", source.revision),
        "split": DatasetRef("x", None, source.split),
    }
    for field, ref in parts.items():
        try:
            spelt = DatasetRef.parse(str(ref))
        except ReferenceError:
            spelt = None
        if spelt != ref:
            said = getattr(source, field)
            raise invalid(f"/source/{field}", f"{said!r} is no {field} of a data set of the hub; see its page there")
    return DatasetRef(source.id, source.revision, source.split)


async def _at(pointer: str, looking: Awaitable[T]) -> T:
    """Returns what is found; an error points at the field that named what was looked at."""
    try:
        return await looking
    except RequestError as error:
        raise invalid(pointer, str(error)) from error


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

"""The HTTP resource `/v1/probes`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from sqlalchemy import RowMapping
from starlette.concurrency import run_in_threadpool

from app.api.body import read
from app.api.errors import document
from app.api.inline import schema
from app.api.names import Text
from app.api.once import DoOnce
from app.api.pages import Cursor, Limit, Page, only, page
from app.api.state import AppState, State
from app.probes import preview as previews
from app.probes.reader import AppReader
from app.probes.registration import from_form, from_source
from app.probes.schemas import Modality, NewForm, NewProbe, Preview, Probe
from app.probes.service import PROBES
from app.problems import Problem
from app.storage.tables import probes, teams
from app.teams.principal import Principal, Reader, Runner
from app.uploads.receive import receive
from app.uploads.schemas import FILE

router = APIRouter(prefix="/v1/probes", tags=["probe sets"])
ProbeId = Annotated[
    str, Path(alias="id", max_length=200, description="its id", examples=["prb_01kb0000000000000000000000"])
]
_FORM = schema(NewForm)
_FORM = {**_FORM, "required": ["file", *_FORM["required"]], "properties": {"file": FILE, **_FORM["properties"]}}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": schema(NewProbe)}, "multipart/form-data": {"schema": _FORM}},
    }
}


@router.post(
    "",
    status_code=201,
    summary="Register a probe set",
    response_model=Probe,
    responses=document(409, 415),
    openapi_extra=_BODY,
)
async def register(
    request: Request,
    state: AppState,
    principal: Runner,
    once: DoOnce,
    reader: AppReader,
) -> Response:
    """Gives a set of items a name: a built-in one, an upload, or the file in a form, which becomes an upload.

    It is read here and now, whole, so that what is wrong with it is said at once.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        async with receive(state, principal, request, tuple(NewForm.model_fields)) as form:
            return await from_form(state, principal, once, reader, form)
    if kind != "application/json":
        raise Problem(415, "send JSON as application/json, or a form with `file` and `name` as multipart/form-data")
    return await from_source(state, principal, once, reader, await read(request, NewProbe))


@router.get("", summary="List probe sets")
def listed(
    state: AppState,
    principal: Reader,
    limit: Limit = 50,
    cursor: Cursor = None,
    name: Annotated[Text | None, Query(description="those of this name alone", examples=["captions"])] = None,
    modality: Annotated[Modality | None, Query(description="those of this kind alone", examples=["text"])] = None,
    team: Annotated[
        Text | None, Query(description="those that the team of this name registered", examples=["default"])
    ] = None,
) -> Page[Probe]:
    """The team's own probe sets, and those that others share; newest first."""
    wanted = {probes.c.name: name, probes.c.modality: modality, teams.c.name: team}
    query = only(PROBES.visible(principal), wanted)
    with state.database.read() as connection:
        return page(connection, query, probes.c.id, limit, cursor, Probe.of)


@router.get("/{id}", summary="A probe set")
def one(probe_id: ProbeId, state: AppState, principal: Reader) -> Probe:
    """The probe set of an id."""
    with state.database.read() as connection:
        return Probe.of(PROBES.get(connection, principal, probe_id))


@router.get("/{id}/preview", summary="A probe set's first items", responses=document(409))
async def preview(
    probe_id: ProbeId,
    state: AppState,
    principal: Reader,
    reader: AppReader,
    limit: Annotated[int, Query(ge=1, le=previews.MOST, description="how many items at most", examples=[10])] = 10,
) -> Preview:
    """The first items, with thumbnails of images and the beginnings of vectors."""
    row, found = await run_in_threadpool(_kept, state, principal, probe_id)
    if found is None:
        await reader.look(principal.team, row["reference"], row["name"], row["columns"])
        row, found = await run_in_threadpool(_kept, state, principal, probe_id)
    if found is None:
        raise Problem(409, "the set holds other items than when it was registered; register it anew")
    return Preview(items=found.items[:limit])


def _kept(state: State, principal: Principal, probe_id: str) -> tuple[RowMapping, Preview | None]:
    with state.database.read() as connection:
        row = PROBES.get(connection, principal, probe_id)
    return row, previews.kept(state.settings.data_dir, row["sha256"])


@router.delete("/{id}", status_code=204, summary="Delete a probe set")
def delete(probe_id: ProbeId, state: AppState, principal: Runner) -> None:
    """Takes its name away. Comparisons that were asked for with it go on and stay; new ones cannot name it.

    The upload that it was made from stays. A key deletes what it registered itself; what another key registered or what
    is shared takes the role admin.
    """
    with state.database.write() as connection:
        PROBES.remove(state.database, connection, principal, probe_id)

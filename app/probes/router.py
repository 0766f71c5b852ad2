"""The HTTP resource `/v1/probes`."""

from __future__ import annotations

from typing import Annotated, Any

from anyio import CapacityLimiter
from fastapi import APIRouter, Depends, Path, Query, Request, Response

from alignment.probes import load_probe
from app.api.body import read
from app.api.errors import document
from app.api.inline import schema
from app.api.names import Text
from app.api.once import DoOnce
from app.api.pages import Cursor, Limit, Page, page
from app.api.state import AppState, State
from app.probes import preview as previews
from app.probes.registration import from_form, from_source
from app.probes.schemas import Modality, NewForm, NewProbe, Preview, Probe
from app.probes.service import PROBES
from app.problems import Problem
from app.storage.tables import probes, teams
from app.teams.principal import Reader, Runner
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


def _reading(request: Request) -> CapacityLimiter:
    limiter: CapacityLimiter = request.app.state.reading
    return limiter


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
    reading: Annotated[CapacityLimiter, Depends(_reading)],
) -> Response:
    """Gives a set of items a name: a built-in one, an upload, or the file in a form, which becomes an upload.

    It is read here and now, whole, so that what is wrong with it is said at once.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        async with receive(state, principal, request, tuple(NewForm.model_fields)) as form:
            return await from_form(state, principal, once, reading, form)
    if kind != "application/json":
        raise Problem(415, "send JSON as application/json, or a form with `file` and `name` as multipart/form-data")
    return await from_source(state, principal, once, reading, await read(request, NewProbe))


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
    query = PROBES.visible(principal)
    for column, wanted in ((probes.c.name, name), (probes.c.modality, modality), (teams.c.name, team)):
        if wanted is not None:
            query = query.where(column == wanted)
    with state.database.read() as connection:
        return page(connection, query, probes.c.id, limit, cursor, Probe.of)


@router.get("/{id}", summary="A probe set")
def one(probe_id: ProbeId, state: AppState, principal: Reader) -> Probe:
    """The probe set of an id."""
    with state.database.read() as connection:
        return Probe.of(PROBES.get(connection, principal, probe_id))


@router.get("/{id}/preview", summary="A probe set's first items")
def preview(
    probe_id: ProbeId,
    state: AppState,
    principal: Reader,
    limit: Annotated[int, Query(ge=1, le=previews.MOST, description="how many items at most", examples=[10])] = 10,
) -> Preview:
    """The first items, with thumbnails of images and the beginnings of vectors."""
    with state.database.read() as connection:
        row = PROBES.get(connection, principal, probe_id)
    found = previews.kept(state.settings, row["sha256"]) or _made(state, row)
    return Preview(items=found.items[:limit])


def _made(state: State, row: Any) -> Preview:
    made = previews.make(load_probe(row["reference"], columns=row["columns"], name=row["name"]))
    previews.keep(state.settings, row["sha256"], made)
    return made


@router.delete("/{id}", status_code=204, summary="Delete a probe set")
def delete(probe_id: ProbeId, state: AppState, principal: Runner) -> None:
    """Takes its name away. Comparisons that were asked for with it go on and stay; new ones cannot name it.

    The upload that it was made from stays. A key deletes what it registered itself; what another key registered or what
    is shared takes the role admin.
    """
    with state.database.write() as connection:
        PROBES.remove(state.database, connection, principal, probe_id)

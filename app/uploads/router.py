"""The HTTP resource `/v1/uploads`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool

from app.api.errors import document
from app.api.once import Answer, DoOnce
from app.api.pages import Cursor, Limit, Page, page
from app.api.state import AppState
from app.storage.tables import uploads
from app.teams.principal import Reader, Runner
from app.uploads import service
from app.uploads.receive import receive
from app.uploads.schemas import FORM, Upload

router = APIRouter(prefix="/v1/uploads", tags=["uploads"])
UploadId = Annotated[
    str, Path(alias="id", max_length=200, description="its id", examples=["upl_01kb0000000000000000000000"])
]


@router.post(
    "",
    status_code=201,
    summary="Upload a file",
    response_model=Upload,
    responses=document(409, 415),
    openapi_extra=FORM,
)
async def create(request: Request, state: AppState, principal: Runner, once: DoOnce) -> Response:
    """Keeps a file, to be named in the source of a probe set or of a model of activations."""
    async with receive(state, principal, request) as form:

        def step(connection: Connection) -> Answer:
            made = Upload.of(service.enter(state, connection, principal, form.draft))
            return Answer(201, made, {"Location": f"/v1/uploads/{made.id}"})

        content = f"{form.draft.filename} {form.draft.sha256}"
        return await run_in_threadpool(once.answer, principal.team, step, content)


@router.get("", summary="List uploads")
def listed(state: AppState, principal: Reader, limit: Limit = 50, cursor: Cursor = None) -> Page[Upload]:
    """The team's uploads, newest first."""
    with state.database.read() as connection:
        return page(connection, service.of_team(principal), uploads.c.id, limit, cursor, Upload.of)


@router.get("/{id}", summary="An upload")
def one(upload_id: UploadId, state: AppState, principal: Reader) -> Upload:
    """What is known of a file; the file itself is not given out again."""
    with state.database.read() as connection:
        return Upload.of(service.get(connection, principal, upload_id))


@router.delete("/{id}", status_code=204, summary="Delete an upload", responses=document(409))
def delete(upload_id: UploadId, state: AppState, principal: Runner) -> None:
    """Deletes a file and frees its room. While a model, a probe set or a job needs it, this answers 409."""
    service.remove(state, principal, upload_id)

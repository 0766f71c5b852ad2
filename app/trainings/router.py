"""Router: trainings."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Response
from starlette.concurrency import run_in_threadpool

from app.api.errors import document
from app.api.once import DoOnce
from app.api.pages import Cursor, Limit, Page, part
from app.api.state import AppState
from app.models.trained import KIND
from app.probes.reader import AppReader
from app.scoring import found, routes
from app.teams.principal import Reader, Runner
from app.trainings import service
from app.trainings.recipes import RecipeItem, catalogue
from app.trainings.schemas import NewTraining, Training, TrainingItem

router = APIRouter(prefix="/v1/trainings", tags=["trainings"])
Id = Annotated[str, routes.id_of(KIND)]
_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}


@router.get("/recipes", summary="List the recipes")
def recipes(principal: Reader, limit: Limit = 50, cursor: Cursor = None) -> Page[RecipeItem]:
    """The kinds of training that can be asked for: what each takes, its defaults, and what the evidence says of it."""
    items = catalogue()
    return part(items, [item.name for item in items], limit, cursor)


@router.post(
    "",
    status_code=202,
    summary="Train a pair of models",
    responses={**routes.queued("/v1/trainings", Training, "probe"), **document(409)},
)
async def create(state: AppState, principal: Runner, once: DoOnce, reader: AppReader, body: NewTraining) -> Response:
    """Queues a training. What its recipe cannot do is refused here, and nothing is queued.

    When it succeeds both models are registered in the team, as `ID/a` and `ID/b`, and can be compared like any others.
    """
    again = await run_in_threadpool(once.again, principal.team)
    if again is not None:  # whatever became of its data meanwhile
        return again
    probe = await run_in_threadpool(service.find_data, state, principal, body)
    plan = await service.plan(reader, principal, body, probe)
    make = partial(service.create, state, principal=principal, body=body, plan=plan)
    return await run_in_threadpool(routes.queue, state, principal, once, router.prefix, make)


routes.add(router, KIND, TrainingItem, Training)


@router.get(
    "/{id}/probe",
    summary="Items to compare the models on",
    response_class=Response,
    responses={
        200: {"description": "a probe set as `POST /v1/probes` takes it", "content": {found.NPZ: _BINARY}},
        **document(409),
    },
)
def probe(state: AppState, principal: Reader, id: Id) -> Response:
    """Items that neither model learnt from, each side's view of them (`a` and `b`), for a comparison of the two."""
    content = service.probe_of(state, principal, id)
    return Response(content, media_type=found.NPZ, headers=found.saved_as(id, "npz"))

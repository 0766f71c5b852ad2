"""The HTTP resource `/v1/models`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from sqlalchemy import Connection

from app.api.errors import document
from app.api.names import Text
from app.api.once import Answer, DoOnce
from app.api.pages import Cursor, Limit, Page, only, page
from app.api.state import AppState
from app.models import service
from app.models.reference import know
from app.models.schemas import Modality, Model, NewModel
from app.storage.tables import models, teams
from app.teams.principal import Reader, Runner

router = APIRouter(prefix="/v1/models", tags=["models"])
ModelId = Annotated[
    str, Path(alias="id", max_length=200, description="its id", examples=["mdl_01kb0000000000000000000000"])
]


@router.post("", status_code=201, summary="Register a model", response_model=Model, responses=document(409))
def register(new: NewModel, state: AppState, principal: Runner, once: DoOnce) -> Response:
    """Gives a model a name. Nothing is loaded yet: what only the model itself can tell is null until the first job.

    A built-in model can be named in a comparison as `builtin:NAME` without being registered.
    """
    again = once.again(principal.team)
    if again is not None:  # whatever became of its source meanwhile
        return again
    known = know(state, principal, new)

    def step(connection: Connection) -> Answer:
        made = Model.of(service.register(state, connection, principal, new, known))
        return Answer(201, made, {"Location": f"/v1/models/{made.id}"})

    return once.answer(principal.team, step)


@router.get("", summary="List models")
def listed(
    state: AppState,
    principal: Reader,
    limit: Limit = 50,
    cursor: Cursor = None,
    name: Annotated[Text | None, Query(description="those of this name alone", examples=["minilm"])] = None,
    modality: Annotated[Modality | None, Query(description="those that take this alone", examples=["text"])] = None,
    team: Annotated[
        Text | None,
        Query(description="those that the team of this name registered", examples=["default"]),
    ] = None,
) -> Page[Model]:
    """The team's own models, and those that others share; newest first."""
    wanted = {models.c.name: name, models.c.modality: modality, teams.c.name: team}
    query = only(service.MODELS.visible(principal), wanted)
    with state.database.read() as connection:
        return page(connection, query, models.c.id, limit, cursor, Model.of)


@router.get("/{id}", summary="A model")
def one(model_id: ModelId, state: AppState, principal: Reader) -> Model:
    """The model of an id."""
    with state.database.read() as connection:
        return Model.of(service.MODELS.get(connection, principal, model_id))


@router.delete("/{id}", status_code=204, summary="Delete a model")
def delete(model_id: ModelId, state: AppState, principal: Runner) -> None:
    """Takes its name away. Comparisons that were asked for with it go on and stay; new ones cannot name it.

    A key deletes what it registered itself; what another key registered or what is shared takes the role admin.
    """
    with state.database.write() as connection:
        service.MODELS.remove(state.database, connection, principal, model_id)

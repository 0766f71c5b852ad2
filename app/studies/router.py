"""Router: studies."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from app.api import etags
from app.api.errors import document
from app.api.once import DoOnce
from app.api.state import AppState
from app.scoring import found, routes
from app.studies import matrices, service
from app.studies.results import MetricMatrix
from app.studies.schemas import NewStudy, Study, StudyItem
from app.teams.principal import Reader, Runner

router = APIRouter(prefix="/v1/studies", tags=["studies"])


@router.post(
    "",
    status_code=202,
    summary="Measure many models against each other",
    responses={**routes.queued("/v1/studies", Study, "matrix"), **document(409)},
)
def create(state: AppState, principal: Runner, once: DoOnce, body: NewStudy) -> Response:
    """Queues a study. What cannot be met as it is asked is refused here, and nothing is queued."""
    return routes.ask(state, principal, once, router.prefix, body, service.create)


routes.add(router, service.KIND, StudyItem, Study)

Id = Annotated[str, routes.id_of(service.KIND)]
_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_TEXT: dict[str, Any] = {"schema": {"type": "string"}}


@router.get(
    "/{id}/matrix",
    summary="The scores of each two models",
    responses={
        200: {
            "model": MetricMatrix,
            "description": "rows are side A, columns B, in the request's order",
            "content": {"text/csv": _TEXT, found.NPZ: _BINARY, found.SVG: _TEXT},
        },
        **etags.NOT_MODIFIED,
        **document(409),
    },
)
def matrix(
    state: AppState,
    principal: Reader,
    id: Id,
    metric: found.MetricKey = None,
    format: Annotated[
        matrices.Format,
        Query(
            description="`json` and `npz` have chance, p- and q-values too, `csv` has the scores; `svg` draws them, "
            "alike models side by side",
            examples=["csv"],
        ),
    ] = "json",
    known: etags.IfNoneMatch = None,
) -> Response:
    """One metric's score for each two models: that of their best pair of layers."""
    make = partial(matrices.matrix, format)
    return found.answer(state, principal.team, service.KIND, id, metric, known, f"matrix {format}", make)

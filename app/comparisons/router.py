"""Router: comparisons."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from app.api import etags
from app.api.errors import document
from app.api.once import DoOnce
from app.api.state import AppState
from app.comparisons import grids, service
from app.comparisons.results import MetricGrid
from app.comparisons.schemas import Comparison, ComparisonItem, NewComparison
from app.scoring import found, routes
from app.teams.principal import Reader, Runner

router = APIRouter(prefix="/v1/comparisons", tags=["comparisons"])


@router.post(
    "",
    status_code=202,
    summary="Compare two models",
    responses={**routes.queued("/v1/comparisons", Comparison, "grid", "heatmap"), **document(409)},
)
def create(state: AppState, principal: Runner, once: DoOnce, body: NewComparison) -> Response:
    """Queues a comparison. What cannot be met as it is asked is refused here, and nothing is queued."""
    return routes.ask(state, principal, once, router.prefix, body, service.create)


routes.add(router, service.KIND, ComparisonItem, Comparison)

Id = Annotated[str, routes.id_of(service.KIND)]
_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_TEXT: dict[str, Any] = {"schema": {"type": "string"}}


@router.get(
    "/{id}/grid",
    summary="The layer-by-layer scores",
    responses={
        200: {
            "model": MetricGrid,
            "description": "rows are A's layers, columns B's",
            "content": {"text/csv": _TEXT, found.NPZ: _BINARY},
        },
        **etags.NOT_MODIFIED,
        **document(409),
    },
)
def grid(
    state: AppState,
    principal: Reader,
    id: Id,
    metric: found.MetricKey = None,
    format: Annotated[
        grids.GridFormat,
        Query(description="`json` and `npz` have chance and p-values too, `csv` has the scores", examples=["csv"]),
    ] = "json",
    known: etags.IfNoneMatch = None,
) -> Response:
    """One metric's scores, chance and p-values for each pair of layers."""
    make = partial(grids.grid, format)
    return found.answer(state, principal.team, service.KIND, id, metric, known, f"grid {format}", make)


@router.get(
    "/{id}/heatmap",
    summary="The picture of the scores",
    response_class=Response,
    responses={
        200: {"description": "the picture", "content": {found.SVG: _TEXT, found.PNG: _BINARY}},
        **etags.NOT_MODIFIED,
        **document(409),
    },
)
def heatmap(
    state: AppState,
    principal: Reader,
    id: Id,
    metric: found.MetricKey = None,
    format: Annotated[
        grids.PictureFormat, Query(description="`svg`, or `png` with 200 dots an inch", examples=["png"])
    ] = "svg",
    known: etags.IfNoneMatch = None,
) -> Response:
    """One metric's scores as colours, the best pair of layers marked, with the models' names."""
    make = partial(grids.picture, format)
    return found.answer(state, principal.team, service.KIND, id, metric, known, f"heatmap {format}", make)

"""Router: trainings."""

from __future__ import annotations

from typing import NoReturn

from fastapi import APIRouter

from app.api.errors import document
from app.api.once import DoOnce
from app.api.pages import Cursor, Limit, Page, part
from app.scoring import routes
from app.teams.principal import Reader, Runner
from app.trainings.recipes import RECIPES, Recipe, unknown
from app.trainings.schemas import NewTraining, Training, TrainingItem

KIND = "training"
router = APIRouter(prefix="/v1/trainings", tags=["trainings"])


@router.get("/recipes", summary="List the recipes")
def recipes(principal: Reader, limit: Limit = 50, cursor: Cursor = None) -> Page[Recipe]:
    """The kinds of training that can be asked for."""
    return part(list(RECIPES.values()), list(RECIPES), limit, cursor)


@router.post(
    "",
    status_code=202,
    summary="Train a pair of models",
    response_model=None,
    responses={**routes.queued("/v1/trainings", Training), **document(409)},
)
def create(principal: Runner, once: DoOnce, body: NewTraining) -> NoReturn:
    """Queues a training by one of the recipes that are installed."""
    raise unknown(body.recipe)


routes.add(router, KIND, TrainingItem, Training)

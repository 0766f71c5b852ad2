"""Recipes: the kinds of training that this release can do. There is none yet."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pydantic import BaseModel, Field

from alignment.errors import UnknownNameError
from app.problems import Problem, invalid


class Recipe(BaseModel):
    """A kind of training."""

    name: str = Field(description="what a request calls it", examples=["linear"])
    title: str = Field(description="its name in a figure", examples=["deep linear networks"])
    summary: str = Field(description="what it trains, on what", examples=["a pair of deep linear networks"])


RECIPES: Mapping[str, Recipe] = MappingProxyType({})


def unknown(name: str) -> Problem:
    """Returns the answer to a recipe that there is not."""
    if not RECIPES:
        return invalid(
            "/recipe", f"there is no recipe {name!r}: none is installed in this release; nothing can be trained yet"
        )
    return invalid("/recipe", str(UnknownNameError("recipe", name, RECIPES)))

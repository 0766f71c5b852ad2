"""train(): from a request to a result, by the recipe that it names."""

from __future__ import annotations

from collections.abc import Mapping

from alignment.entropic.recipes.linear import LinearRecipe
from alignment.entropic.recipes.mlp import MlpRecipe
from alignment.entropic.recipes.recipe import Recipe
from alignment.entropic.recipes.request import TrainingRequest
from alignment.entropic.recipes.result import TrainingResult
from alignment.entropic.recipes.transformer import TransformerRecipe
from alignment.entropic.training.keeper import Keeper
from alignment.entropic.training.pair import Progress, silent
from alignment.errors import UnknownNameError

RECIPES: Mapping[str, type[Recipe]] = {"linear": LinearRecipe, "mlp": MlpRecipe, "transformer": TransformerRecipe}


def train(request: TrainingRequest, keeper: Keeper | None = None, progress: Progress = silent) -> TrainingResult:
    """Returns the pair that a recipe trains, with what was measured of it.

    Args:
        request: what is asked for.
        keeper: where the state is kept; a state that waits there is taken up.
        progress: called with `train`, steps taken, steps in all; what it raises stops the training.

    Raises:
        UnknownNameError: if there is no such recipe.
        TrainingError: if the recipe cannot do what is asked.
        DivergenceError: if a loss is no longer a number.
    """
    if request.recipe not in RECIPES:
        raise UnknownNameError("recipe", request.recipe, RECIPES)
    return RECIPES[request.recipe].of(request).run(keeper, progress)

"""Recipes: trainings that produce a pair of models, from a request to a result."""

from alignment.entropic.recipes.linear import LinearRecipe
from alignment.entropic.recipes.request import OBJECTIVES, OPTIMIZERS, TrainingRequest
from alignment.entropic.recipes.run import RECIPES, train

__all__ = ["OBJECTIVES", "OPTIMIZERS", "RECIPES", "LinearRecipe", "TrainingRequest", "train"]

"""Warnings of the recipe `linear`: a mode that is lost, a training that is not at its end; what to do about a third."""

from __future__ import annotations

import math
from collections.abc import Sequence

from alignment.entropic.loss import EntropicLoss
from alignment.entropic.problem import Problem
from alignment.entropic.recipes.request import TrainingRequest
from alignment.entropic.recipes.result import Prediction, TrainingWarning
from alignment.entropic.sampling import Sampling

_CLOSE = 0.3  # of the step at which a mode is lost: beyond it the theorem's limit is far
# |∇| |θ| over the objective: whole runs end below 3e-4 on the seeds 100, 101 and 105, with 50 steps above 0.1. Real
# descent keeps its noise: 2 at most at the end of whole runs on the seeds 100 to 105, with 50 steps above 13.
_STEEP = {"lbfgs": 1e-2, "gd": 1e-2, "sgd": 3.0}


def linear_warnings(
    request: TrainingRequest, problems: Sequence[Problem], predictions: Sequence[Prediction], sampling: Sampling
) -> tuple[TrainingWarning, ...]:
    """Returns what a reader of a training's numbers must know.

    Args:
        request: with its defaults filled in.
        problems: A's and B's, trained.
        predictions: theirs.
        sampling: of the entropy.
    """
    strength = request.strength or 0.0
    added = strength if request.optimizer == "lbfgs" else 0.0  # real descent has the entropy of itself
    objective = EntropicLoss(added, request.weight_decay or 0.0, sampling=sampling)
    found = []
    steep, most = max(steepness(problem, objective) for problem in problems), _STEEP[request.optimizer]
    if not steep <= most:
        detail = (
            f"training ended before it had converged: the gradient's norm times the weights', over the objective, is "
            f"{steep:.2g} where the end of a whole run is below {most:g}; take more than {request.steps} steps"
        )
        found.append(TrainingWarning("not_converged", detail))
    limit = min(prediction.collapse for prediction in predictions)
    if strength >= _CLOSE * limit:
        detail = (
            f"strength {strength:g} is near or above {limit:.2g}, where the entropy shrinks the weakest mode of the "
            f"target to nothing (rank collapse): alignment is then of what is left; lower it below {_CLOSE * limit:.2g}"
        )
        found.append(TrainingWarning("rank_collapse", detail))
    return tuple(found)


def steepness(problem: Problem, objective: EntropicLoss) -> float:
    """Returns ‖∇‖ ‖θ‖ / value of an objective at a model's weights: 0 at a minimum, without a unit."""
    value = objective.backward(problem).total
    weights = list(problem.parameters.values())
    slope = math.hypot(*(float(w.grad.norm()) for w in weights if w.grad is not None))
    size = math.hypot(*(float(w.detach().norm()) for w in weights))
    for weight in weights:
        weight.grad = None
    return slope * size / value


def divergence_advice(request: TrainingRequest) -> str:
    """Returns what can be changed where a loss is no longer a number."""
    if request.weight_decay:
        return "lower the weight decay"
    if request.optimizer == "gd":
        return "its rate is fixed: take another seed, or the optimizer lbfgs"
    if request.optimizer == "sgd":
        return "take a lower strength, another seed, or the optimizer lbfgs"
    return "lower the strength" if request.strength else "take another seed, or the optimizer gd"

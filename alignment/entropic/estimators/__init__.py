"""Three ways to E‖g‖² and its gradient, behind one interface.

`PerSample` is exact for any model and holds every row's gradient. `GhostNorm` is exact for the layers that it has rules
for, at a few times a step's cost. `FiniteDifference` takes any operation and two gradients a step.
"""

from alignment.entropic.estimators.estimator import Estimator, Step
from alignment.entropic.estimators.finite_difference import FiniteDifference
from alignment.entropic.estimators.ghost import GhostNorm
from alignment.entropic.estimators.per_sample import PerSample, row_gradients

__all__ = ["Estimator", "FiniteDifference", "GhostNorm", "PerSample", "Step", "row_gradients"]

"""What holds of towers whatever their task is."""

import torch

from alignment.entropic.estimators import FiniteDifference, GhostNorm, PerSample
from alignment.entropic.problem import Problem
from alignment.entropic.recipes import TrainingRequest, train
from alignment.entropic.recipes.files import model_files
from alignment.entropic.recipes.result import TrainingResult
from alignment.entropic.sampling import Sampling
from tests.entropic.broken_off import broken_off


def agree(here: Problem) -> None:
    """Asserts that the estimators find what the oracle finds."""
    for sampling in (Sampling(), Sampling(6)):
        exact, ghost = (estimator.step(here, sampling, 0.1) for estimator in (PerSample(), GhostNorm()))
        torch.testing.assert_close(ghost.square, exact.square, rtol=1e-10, atol=0)
        for one, other in zip(ghost.gradients, exact.gradients, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
    near = FiniteDifference().step(here, Sampling(6), 0.1)
    torch.testing.assert_close(near.square, exact.square, rtol=1e-10, atol=0)
    for one, other in zip(near.gradients, exact.gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def goes_on(request: TrainingRequest, trained: TrainingResult) -> None:
    """Asserts that a training that is killed and begun again comes to the same bits."""
    resumed = broken_off(lambda keeper: train(request, keeper))
    assert resumed.history == trained.history
    for one, other in zip(resumed.members, trained.members, strict=True):
        assert model_files(one) == model_files(other)

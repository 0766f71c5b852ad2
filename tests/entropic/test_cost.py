"""Memory of ghost norms against a plain step's, in bytes allocated: counted, not timed."""

import pytest
import torch
from torch import nn

from alignment.entropic.estimators import GhostNorm
from alignment.entropic.problem import Problem, cross_entropy, square_error
from alignment.entropic.sampling import Sampling
from alignment.errors import TrainingError
from tests.benchmarks.entropic import _peak
from tests.entropic.networks import Transformer


def test_ghost_norms_take_little_more_memory_than_a_plain_step() -> None:
    random = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 500, (32, 32), generator=random)
    made = Problem(Transformer(vocabulary=500, width=128, length=32), cross_entropy, ids, ids[:, 0])

    def plain() -> None:
        torch.autograd.grad(made.losses(made.model(ids), made.targets).mean(), list(made.parameters.values()))

    jobs = [plain, lambda: GhostNorm().value(made, Sampling(1)), lambda: GhostNorm().step(made, Sampling(1), 0.01)]
    for job in jobs:
        job()
    base, value, gradient = (_peak(job, "cpu") for job in jobs)
    assert value <= 1.5 * base
    assert gradient <= 3 * base


class Overwritten(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state = torch.tanh(self.first(x))
        out = self.last(state)
        state.mul_(2.0)
        return out


def test_an_input_that_is_overwritten_is_refused() -> None:
    made = Problem(Overwritten(), square_error, torch.ones(4, 3), torch.zeros(4, 3))
    with pytest.raises(TrainingError, match="inplace=False"):
        GhostNorm().value(made, Sampling())

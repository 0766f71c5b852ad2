"""On a GPU, one that is there or one that is pretended, the estimators give what they give on the CPU."""

import copy

import pytest
import torch
from torch import nn

from alignment.entropic.estimators import FiniteDifference, GhostNorm, PerSample
from alignment.entropic.loss import EntropicLoss
from alignment.entropic.problem import Problem
from alignment.entropic.sampling import Sampling
from tests.benchmarks import entropic
from tests.entropic.networks import KINDS, problem

ESTIMATORS = {"ghost": GhostNorm(), "finite difference": FiniteDifference(), "per sample": PerSample(chunk=2)}


def moved(made: Problem, device: torch.device) -> Problem:
    model = copy.deepcopy(made.model).to(device)
    return Problem(model, made.loss, made.inputs.to(device), made.targets.to(device))


def test_each_network_has_the_same_squares_and_gradients(gpu: torch.device) -> None:
    for kind in KINDS:
        here = problem(kind)
        there = moved(here, gpu)
        for name, estimator in ESTIMATORS.items():
            sampling = Sampling(3 if name == "finite difference" else 1)
            one, other = (estimator.step(each, sampling, 0.3) for each in (here, there))
            assert all(value.is_cuda for value in (other.loss, other.square, *other.gradients)), (kind, name)
            torch.testing.assert_close(other.square.cpu(), one.square, rtol=1e-6, atol=1e-9)
            for mine, theirs in zip(one.gradients, other.gradients, strict=True):
                torch.testing.assert_close(theirs.cpu(), mine, rtol=1e-5, atol=1e-6)
            torch.testing.assert_close(estimator.value(there, sampling).cpu(), one.square, rtol=1e-6, atol=1e-9)


def test_rows_that_look_like_positions_and_dropout_are_repeated(gpu: torch.device) -> None:
    there = moved(problem("transformer", rows=5), gpu)  # as many rows as positions: the first is run alone
    assert GhostNorm().value(there, Sampling(1)).is_cuda
    dropping = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 3)).to(gpu)
    x, y = torch.ones(4, 4).to(gpu), torch.zeros(4, 3).to(gpu)
    made = Problem(dropping.float(), problem("mlp").loss, x, y)
    EntropicLoss(strength=0.1, estimator=FiniteDifference(), sampling=Sampling(4)).backward(made)
    assert all(p.grad is not None and p.grad.is_cuda for p in dropping.parameters())


def test_what_they_cost_is_printed(
    gpu: torch.device, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["entropic", "--cost", "--device", "cuda", "--small"])
    entropic.main()
    printed = capsys.readouterr().out
    assert "over a plain step, cuda" in printed
    assert printed.count("ghost norm, with gradient") == 2

"""Examined: what nonlinear recipes measure, and on what: hidden layers and outputs of both networks, the first rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from alignment.entropic.balance import balance
from alignment.entropic.calibrated import calibrated
from alignment.entropic.estimators import Estimator, FiniteDifference, GhostNorm
from alignment.entropic.kernels import kernel_alignment
from alignment.entropic.problem import Problem
from alignment.entropic.recipes.request import EstimatorName
from alignment.entropic.rows import Rows
from alignment.entropic.sampling import Sampling
from alignment.entropic.training.point import AlignmentPoint


class Network(Protocol):
    """A network whose hidden layers can be seen."""

    def hidden(self, x: Tensor) -> list[Tensor]:
        """Returns each hidden layer, row i of item i."""

    def __call__(self, x: Tensor) -> Tensor:
        """Returns the outputs."""


def states(
    networks: Mapping[str, Network], sides: Mapping[str, Rows]
) -> tuple[dict[str, list[Tensor]], dict[str, Tensor]]:
    """Returns the hidden layers and the outputs of both on each side's inputs."""
    with torch.no_grad():
        hidden = {m: network.hidden(sides[m].inputs) for m, network in networks.items()}
        return hidden, {m: network(sides[m].inputs) for m, network in networks.items()}


def first(rows: Rows, count: int) -> Rows:
    """Returns so many rows, the first."""
    return Rows(rows.inputs[:count], rows.targets[:count])


def problem_of(network: nn.Module, rows: Rows) -> Problem:
    """Returns the problem of a network on rows."""
    return Problem(network, rows.loss, rows.inputs, rows.targets)


def mean_losses(problems: list[Problem]) -> tuple[float, float]:
    """Returns the mean loss of A's problem and of B's."""
    with torch.no_grad():
        a, b = (float(p.losses(p.model(p.inputs), p.targets).mean()) for p in problems)
    return a, b


def point(step: int, hidden: Mapping[str, list[Tensor]], problems: list[Problem], seed: int) -> AlignmentPoint:
    """Returns what is told of a step: linear CKA of every two hidden layers, calibrated too, and the balance.

    Args:
        step: which.
        hidden: each network's hidden layers on held-out items.
        problems: A's and B's, on rows learnt from.
        seed: what items are shuffled by.
    """
    grid = kernel_alignment(hidden["a"], hidden["b"], centred=True)
    level = calibrated("cka", hidden["a"], hidden["b"], seed=seed).calibrated
    found = [balance(problem, Sampling()) for problem in problems]
    return AlignmentPoint(
        step=step,
        lowest=float(grid.min()),
        mean=float(grid.mean()),
        neuron=max(b.neuron or 0.0 for b in found),
        layer=None,
        matrix=None,
        loss=mean_losses(problems),
        attention=max((b.attention for b in found if b.attention is not None), default=None),
        calibrated=sum(map(sum, level)) / grid.numel(),
        grid=grid.tolist(),
        calibrated_grid=level,
    )


def estimation(name: EstimatorName, batch: int) -> tuple[Estimator, Sampling]:
    """Returns an estimator and the batches whose entropy it finds in a step's rows: single rows, or all of them."""
    return (GhostNorm(), Sampling()) if name == "ghost_norm" else (FiniteDifference(), Sampling(batch))

"""Examined: what nonlinear recipes measure on: the hidden layers and outputs of both networks, and the first rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from alignment.entropic.estimators import Estimator, FiniteDifference, GhostNorm
from alignment.entropic.problem import Problem
from alignment.entropic.recipes.request import EstimatorName
from alignment.entropic.rows import Rows
from alignment.entropic.sampling import Sampling


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


def estimation(name: EstimatorName, batch: int) -> tuple[Estimator, Sampling]:
    """Returns an estimator and the batches whose entropy it finds in a step's rows: single rows, or all of them."""
    return (GhostNorm(), Sampling()) if name == "ghost_norm" else (FiniteDifference(), Sampling(batch))

"""Moments: an optimizer's state, as it is kept and taken up again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn


def moments(optimizer: torch.optim.Optimizer, parameters: Sequence[nn.Parameter]) -> dict[str, Any]:
    """Returns an optimizer's state by the parameter's number."""
    return {str(i): dict(optimizer.state[p]) for i, p in enumerate(parameters)}


def take_up(optimizer: torch.optim.Optimizer, parameters: Sequence[nn.Parameter], kept: Mapping[str, Any]) -> None:
    """Gives an optimizer the state that `moments` returned for as many parameters."""
    for i, parameter in enumerate(parameters):
        optimizer.state[parameter].update(kept[str(i)])

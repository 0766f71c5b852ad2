"""Initial weights, by seed."""

from __future__ import annotations

import math

import torch

from alignment.entropic.chance import generator, invertible, log_uniform, normal
from alignment.models import DenseConfig, DenseNetwork, TowerConfig, TowerNetwork


def linear_network(widths: tuple[int, ...], seed: int, member: str, spread: float = 0.7) -> DenseNetwork:
    """Returns an embedded deep linear network in float64.

    Weights are N(0, 1/fan_in) times one factor a layer, exp(U(-spread, spread)); the fixed maps have singular values
    between 0.5 and 2.

    Args:
        widths: of the input, each hidden layer, and the output.
        seed: what the weights come from.
        member: `a` or `b`, which draws its own.
        spread: how unbalanced the layers are.
    """
    network = DenseNetwork(DenseConfig(widths, "linear", bias=False, maps=True), torch.float64)
    random = generator(seed, "weights", member)
    with torch.no_grad():
        network.map_in.copy_(invertible(random, widths[0], 0.5, 2.0))
        network.map_out.copy_(invertible(random, widths[-1], 0.5, 2.0))
        for layer in network.layers:
            scale = torch.exp((torch.rand(1, generator=random, dtype=torch.float64) * 2 - 1) * spread)
            weight = layer.get_parameter("weight")
            weight.copy_(normal(random, *weight.shape) * scale / weight.shape[1] ** 0.5)
    return network


def dense_network(config: DenseConfig, seed: int, member: str, *, spread: float = 0.0) -> DenseNetwork:
    """Returns a network in float64 with He's initial weights, N(0, 2/fan_in), and biases of 0.

    Args:
        config: its shape.
        seed: what the weights come from.
        member: `a` or `b`, which draws its own.
        spread: each unit's incoming weights are multiplied by exp(U(-spread, spread)).
    """
    network = DenseNetwork(config, torch.float64)
    random = generator(seed, "weights", member)
    gain = 2.0 if config.activation in ("relu", "gelu") else 1.0
    with torch.no_grad():
        for layer in network.layers:
            weight = layer.get_parameter("weight")
            units = log_uniform(random, math.exp(-spread), math.exp(spread), len(weight), 1)
            weight.copy_(normal(random, *weight.shape) * (gain / weight.shape[1]) ** 0.5 * units)
    return network


def tower_network(config: TowerConfig, seed: int, member: str) -> TowerNetwork:
    """Returns a tower in float32: weights N(0, 1/fan_in), letters N(0, 1), places N(0, 1/50²), biases of 0.

    Args:
        config: its shape.
        seed: what the weights come from.
        member: `a` or `b`, which draws its own.
    """
    tower = TowerNetwork(config)
    random = generator(seed, "weights", member)
    with torch.no_grad():
        for name, parameter in tower.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
            elif "norm" not in name:
                scale = {"places": 0.02, "letters.weight": 1.0}.get(name, parameter.shape[-1] ** -0.5)
                parameter.copy_(normal(random, *parameter.shape) * scale)
    return tower

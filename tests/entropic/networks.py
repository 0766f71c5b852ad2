"""Small networks of every kind that the estimators know, in float64, with random weights by seed."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from alignment.entropic.chance import generator, normal
from alignment.entropic.initial import dense_network
from alignment.entropic.problem import Problem, cross_entropy, square_error
from alignment.models import DenseConfig


class Attention(nn.Module):
    """Causal-free attention of two heads, on vectors at several positions."""

    def __init__(self, width: int = 6, heads: int = 2) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            part(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (self.query, self.key, self.value)
        )
        mixed = functional.scaled_dot_product_attention(q, k, v)
        return self.output(mixed.transpose(1, 2).flatten(2))


class Transformer(nn.Module):
    """Tokens, positions, one block, and logits by the token table: every parameter kind, one of them used twice."""

    def __init__(self, vocabulary: int = 7, width: int = 6, length: int = 5) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(length, width)
        self.start = nn.Parameter(torch.zeros(1, 1, width))
        self.scale = nn.Parameter(torch.ones(width))
        self.norm = nn.LayerNorm(width)
        self.attention = Attention(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, ids: Tensor) -> Tensor:
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1], device=ids.device)[None])
        x = x + self.start
        x = x + self.attention(self.norm(x)) * self.scale
        x = x + self.mlp(x)
        return functional.linear(x.mean(1), self.tokens.weight)


class Convolutions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, stride=2, padding=1)
        self.second = nn.Conv2d(4, 4, (2, 1), groups=2, dilation=(1, 2))
        self.third = nn.Conv1d(4, 3, 2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.second(torch.tanh(self.first(x))))
        return self.third(x.flatten(2)).mean(2)


class Recurrent(nn.Module):
    """One layer applied three times: its weight is shared over depth."""

    def __init__(self) -> None:
        super().__init__()
        self.step, self.head = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(3):
            x = torch.tanh(self.step(x))
        return self.head(x)


def seeded(model: nn.Module, seed: int = 0) -> nn.Module:
    random = torch.Generator().manual_seed(seed)
    model = model.double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=random, dtype=torch.float64) * 0.6)
    return model


def problem(kind: str, rows: int = 6, seed: int = 0) -> Problem:
    """A problem on a network of that kind."""
    random = torch.Generator().manual_seed(seed + 100)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    if kind == "mlp":
        model = nn.Sequential(nn.Linear(4, 7), nn.ReLU(), nn.Linear(7, 5, bias=False), nn.Tanh(), nn.Linear(5, 3))
        return Problem(seeded(model, seed), square_error, normal(rows, 4), normal(rows, 3))
    if kind == "recurrent":
        return Problem(seeded(Recurrent(), seed), square_error, normal(rows, 4), normal(rows, 3))
    if kind == "convolutions":
        return Problem(seeded(Convolutions(), seed), square_error, normal(rows, 2, 7, 5), normal(rows, 3))
    if kind == "attention":
        model = nn.Sequential(Attention(), nn.LayerNorm(6), nn.Flatten(), nn.Linear(24, 3))
        return Problem(seeded(model, seed), square_error, normal(rows, 4, 6), normal(rows, 3))
    if kind == "transformer":
        ids = torch.randint(0, 7, (rows, 5), generator=random)
        return Problem(seeded(Transformer(), seed), cross_entropy, ids, torch.randint(0, 7, (rows,), generator=random))
    if kind == "padded":  # a padding row has no gradient, so only a table that is used once has a symmetric Hessian
        model = nn.Sequential(nn.Embedding(5, 4, padding_idx=0), nn.Tanh(), nn.Flatten(), nn.Linear(12, 3))
        ids = torch.randint(0, 5, (rows, 3), generator=random)
        return Problem(seeded(model, seed), square_error, ids, normal(rows, 3))
    raise ValueError(kind)


def relu_problem(seed: int = 0, widths: tuple[int, ...] = (4, 9, 7, 3), *, bias: bool = True) -> Problem:
    """A ReLU network far from balance, on random rows."""
    network = dense_network(DenseConfig(widths, "relu", bias=bias), seed, "a", spread=0.7)
    random = generator(seed, "rows")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.2 * normal(random, *parameter.shape)
    return Problem(network, square_error, normal(random, 40, widths[0]), normal(random, 40, widths[-1]))


def attention_problem(seed: int = 0) -> Problem:
    """An attention layer and a linear one, on random rows."""
    model = seeded(nn.Sequential(Attention(6, 2), nn.Flatten(), nn.Linear(24, 3)), seed)
    random = generator(seed, "rows")
    return Problem(model, square_error, normal(random, 60, 4, 6), normal(random, 60, 3))


def tanh_problem(seed: int = 0) -> Problem:
    """A smooth network on random rows, in which a step follows a flow."""
    random = generator(seed, "rows")
    network = dense_network(DenseConfig((3, 5, 4, 2), "tanh"), seed, "a")
    return Problem(network, square_error, normal(random, 30, 3), normal(random, 30, 2))


KINDS = ("mlp", "recurrent", "convolutions", "attention", "transformer", "padded")

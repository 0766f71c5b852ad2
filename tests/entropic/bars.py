"""The experiments behind the acceptance bars, one seed a call: tests take one seed, the benchmark five or more.

Settings are those of the theory notes, section 7; the data's generator is this project's own, so single numbers differ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from alignment.entropic.balance import Balance, balance
from alignment.entropic.chance import generator, invertible, log_uniform, normal, orthogonal
from alignment.entropic.factorial import FactorialSetting, LinearData, MemberData
from alignment.entropic.initial import dense_network, linear_network
from alignment.entropic.kernels import kernel_alignment
from alignment.entropic.loss import EntropicLoss
from alignment.entropic.problem import Problem, square_error
from alignment.entropic.recipes import TrainingRequest, train
from alignment.entropic.recipes.result import TrainingResult
from alignment.entropic.sampling import Sampling
from alignment.entropic.sharpness import linear_trace
from alignment.entropic.training.descent import Descent
from alignment.entropic.training.lbfgs import Lbfgs
from alignment.entropic.training.minibatch import Minibatch
from alignment.entropic.training.trainee import Piece, Trainee
from alignment.models import DenseConfig, DenseNetwork

SINGLE_ROWS = Sampling(1, "all")
WIDTHS = {"a": (4, 6, 8, 3), "b": (4, 5, 7, 6, 3)}


def trained(network: DenseNetwork, *stages: Piece) -> DenseNetwork:
    """The network, at the end of its stages."""
    trainee = Trainee("a", network, stages, 1000, "lower the strength")
    while not trainee.done:
        trainee.advance()
    return network


def whitened(data: LinearData, covariance: Tensor) -> LinearData:
    """The data with noise of exactly that covariance."""
    root = torch.linalg.cholesky(data.noise_covariance)
    white = torch.linalg.solve_triangular(root, data.noise.T, upper=False).T
    return replace(data, noise=white @ torch.linalg.cholesky(covariance).T)


def annealed(side: MemberData, iterations: int, decay: float = 0.0) -> list[Piece]:
    """L-BFGS at η = 1e-2 and then 1e-3, with γ = decay · η."""
    return [
        Lbfgs(iterations, EntropicLoss(eta, decay * eta, sampling=SINGLE_ROWS), square_error, side.inputs, side.targets)
        for eta in (1e-2, 1e-3)
    ]


# Bar 1 and 2: universal alignment


def linear_pair(seed: int) -> tuple[TrainingResult, TrainingResult]:
    """The linear recipe, entropic and plain."""
    return train(TrainingRequest(seed=seed)), train(TrainingRequest(objective="plain", seed=seed))


def sgd_pair(seed: int, steps: int) -> TrainingResult:
    """The linear recipe by real stochastic descent, from the end of plain descent, its rate bounded by curvature."""
    return train(TrainingRequest(optimizer="sgd", steps=steps, seed=seed))


def fixed_rate(seed: int, steps: int) -> float:
    """The lowest alignment behind real descent at the notes' rate, 0.003, whatever the rows' curvature."""
    hidden: list[Sequence[Tensor]] = []
    for member, side in zip("ab", MemberData.pair(LinearData.draw(seed)), strict=True):
        plain = Descent(20_000, 2e-3, side.inputs, side.targets)
        real = Descent(steps, 3e-3, side.inputs, side.targets, batch=1, seed=seed, member=member)
        network = trained(linear_network(WIDTHS[member], seed, member), plain, real)
        with torch.no_grad():
            hidden.append(network.hidden(side.items))
    return float(kernel_alignment(hidden[0], hidden[1]).min())


# Bar 3: balance of ReLU networks


@dataclass(frozen=True)
class ReluBalance:
    """Balance of one network before training, behind plain Adam and behind Adam on the entropic loss."""

    initial: Balance
    plain: Balance
    entropic: Balance


def relu(seed: int, widths: tuple[int, ...], *, bias: bool, steps: int = 5000) -> ReluBalance:
    """A teacher with noise, N = 256, η = 0.1, Adam at 2e-2 with a cosine."""
    random = generator(seed, "relu teacher")
    x = normal(random, 256, widths[0])
    teacher = dense_network(DenseConfig((widths[0], 12, widths[-1])), seed, "teacher")
    with torch.no_grad():
        y = teacher(x) + 0.3 * normal(random, 256, widths[-1])

    def fresh() -> DenseNetwork:
        return dense_network(DenseConfig(widths, "relu", bias=bias), seed, "a", spread=0.35)

    def measured(network: DenseNetwork) -> Balance:
        return balance(Problem(network, square_error, x, y), SINGLE_ROWS)

    plain = Minibatch(500, 2e-2, EntropicLoss(0.0), square_error, x, y)
    entropic = Minibatch(steps, 2e-2, EntropicLoss(0.1, sampling=SINGLE_ROWS), square_error, x, y)
    return ReluBalance(measured(fresh()), measured(trained(fresh(), plain)), measured(trained(fresh(), entropic)))


# Bar 8: sharpness


def sharpness(seed: int, condition: float) -> list[tuple[float, float]]:
    """Of A and B: the Hessian's trace over that of the entropic minimum, and over that of the flattest."""
    from alignment.entropic.recipes.linear import LinearRecipe

    spread = torch.tensor([condition**0.5, 1.0, condition**-0.5], dtype=torch.float64)
    data = whitened(LinearData.draw(seed), 0.25 * torch.diag(spread))
    recipe = LinearRecipe(TrainingRequest(seed=seed), data)
    found = []
    for member, side in zip("ab", MemberData.pair(data), strict=True):
        network = trained(linear_network(WIDTHS[member], seed, member), *annealed(side, 500))
        theory = recipe.theory(member, network, side)
        trace = linear_trace(network, side.inputs)
        found.append((trace / theory.sharpness, trace / theory.flattest))
    return found


# Bar 9: what breaks alignment, and the controls that do not

Change = Callable[[LinearData, MemberData, torch.Generator], MemberData]


def _orthogonal_labels(data: LinearData, side: MemberData, random: torch.Generator) -> MemberData:
    return replace(side, targets=side.targets @ orthogonal(random, 3).T)


def _other_labels(data: LinearData, side: MemberData, random: torch.Generator) -> MemberData:
    return replace(side, targets=side.targets @ invertible(random, 3, 0.5, 2.0).T)


def _lossy(data: LinearData, side: MemberData, random: torch.Generator) -> MemberData:
    # Noise of deviation 1, about as large as the inputs themselves.
    return replace(side, inputs=side.inputs + normal(random, *side.inputs.shape))


def heteroscedastic(data: LinearData, random: torch.Generator) -> Tensor:
    """Targets whose noise has another scale for each input."""
    scale = log_uniform(random, 0.5, 2.0, len(data.latent), 1, 1)
    clean = data.latent @ data.target.T
    return (clean[:, None] + scale * data.noise).flatten(0, 1)


CHANGES: dict[str, Change] = {
    "orthogonal labels": _orthogonal_labels,
    "other labels": _other_labels,
    "lossy input": _lossy,
}
BROKEN = {"other labels": 1e-3, "saddle": 1e-3, "lossy input": 1e-2, "weight decay": 1e-3}
CONTROLS = ("none", "orthogonal labels", "heteroscedastic noise")


def breakage(seed: int, what: str, iterations: int = 400) -> float:
    """1 - the lowest alignment of all pairs of hidden layers, with one thing changed."""
    covariance = torch.diag(torch.tensor([1.0, 0.25, 0.0625], dtype=torch.float64))
    data = whitened(LinearData.draw(seed, FactorialSetting(noises=8)), covariance)
    random = generator(seed, "breakage", what)
    sides = dict(zip("ab", MemberData.pair(data), strict=True))
    if what in CHANGES:
        sides["b"] = CHANGES[what](data, sides["b"], random)
    if what == "heteroscedastic noise":
        targets = heteroscedastic(data, random)
        sides = {member: replace(side, targets=targets) for member, side in sides.items()}
    hidden: list[Sequence[Tensor]] = []
    for member, side in sides.items():
        network = linear_network(WIDTHS[member], seed, member)
        if what == "saddle" and member == "b":
            _one_unit(network)
        trained(network, *annealed(side, iterations, decay=10.0 if what == "weight decay" else 0.0))
        with torch.no_grad():
            hidden.append(network.hidden(side.items))
    return 1 - float(kernel_alignment(hidden[0], hidden[1]).min())


def _one_unit(network: DenseNetwork) -> None:
    """Leaves one unit in each hidden layer connected: a saddle of rank one, which no gradient leads out of."""
    with torch.no_grad():
        for depth in range(network.config.depth):
            weight = network.get_parameter(f"layers.{depth}.weight")
            if depth < network.config.depth - 1:
                weight[1:] = 0
            if depth > 0:
                weight[:, 1:] = 0

"""Sharpness: the Hessian's largest eigenvalue and its trace, of the mean loss over the rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from alignment.entropic.estimators.plain_norms import PlainNorms
from alignment.entropic.problem import Problem
from alignment.errors import TrainingError
from alignment.models import DenseNetwork


@dataclass(frozen=True)
class TraceEstimate:
    """An estimate of a trace, and its standard error."""

    value: float
    error: float


def largest_eigenvalue(problem: Problem, *, iterations: int = 80, seed: int = 0, tolerance: float = 1e-9) -> float:
    """Returns the Hessian's largest eigenvalue, by Lanczos with full reorthogonalisation.

    Args:
        problem: the model, the loss and the rows.
        iterations: the most Hessian products.
        seed: of the first vector.
        tolerance: relative change of the eigenvalue at which it stops.
    """
    product, size, like = _hessian(problem)
    vectors: list[Tensor] = []
    alphas: list[float] = []
    betas: list[float] = []
    vector = _unit(torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(like))
    found = float("nan")
    for _ in range(min(iterations, size)):
        vectors.append(vector)
        image = product(vector)
        alphas.append(float(vector @ image))
        basis = torch.stack(vectors)
        for _ in range(2):  # twice is enough (Parlett 1998, "The Symmetric Eigenvalue Problem", section 6.9)
            image = image - basis.T @ (basis @ image)
        band = torch.diag(torch.tensor(alphas, dtype=torch.float64))
        if betas:
            off = torch.tensor(betas, dtype=torch.float64)
            band = band + torch.diag(off, 1) + torch.diag(off, -1)
        before, found = found, float(torch.linalg.eigvalsh(band)[-1])
        beta = float(image.norm())
        if beta <= 1e-14 * max(abs(a) for a in alphas) or abs(found - before) <= tolerance * abs(found):
            break
        betas.append(beta)
        vector = image / beta
    return found


def trace(problem: Problem, *, probes: int = 64, seed: int = 0) -> TraceEstimate:
    """Returns Hutchinson's estimate of the Hessian's trace, from random signs.

    Args:
        problem: the model, the loss and the rows.
        probes: how many Hessian products, at least 2.
        seed: of the signs.
    """
    if probes < 2:
        raise TrainingError(f"a trace needs at least 2 probes to know its own error, not {probes}")
    product, size, like = _hessian(problem)
    random = torch.Generator().manual_seed(seed)
    values = []
    for _ in range(probes):
        signs = (torch.randint(0, 2, (size,), generator=random) * 2 - 1).to(like)
        values.append(float(signs @ product(signs)))
    found = torch.tensor(values, dtype=torch.float64)
    return TraceEstimate(float(found.mean()), float(found.std() / probes**0.5))


def linear_trace(network: DenseNetwork, inputs: Tensor) -> float:
    """Returns the Hessian's trace of the mean square error of a linear network, exactly: 2 Σ_i ‖A_i‖² b_{i-1}.

    A_i maps layer i's output to the network's, and b_{i-1} is the mean squared norm of layer i's input.

    Args:
        network: linear and without biases.
        inputs: `[n, width]`, what the loss's mean is over.

    Raises:
        TrainingError: if the network is not linear or has biases.
    """
    config = network.config
    if config.activation != "linear" or config.bias:
        raise TrainingError("the exact trace is that of linear networks without biases; use `trace`")
    with torch.no_grad():
        weights = [network.get_parameter(f"layers.{i}.weight") for i in range(config.depth)]
        state = inputs @ network.map_in.T if config.maps else inputs
        entering = []
        for weight in weights:
            entering.append(float(state.square().sum(1).mean()))
            state = state @ weight.T
        behind = network.map_out if config.maps else torch.eye(config.widths[-1], dtype=inputs.dtype)
        total = 0.0
        for weight, norm in zip(reversed(weights), reversed(entering), strict=True):
            total += 2 * float(behind.square().sum()) * norm
            behind = behind @ weight
    return total


def _hessian(problem: Problem) -> tuple[Callable[[Tensor], Tensor], int, Tensor]:
    """Returns the Hessian's product with a vector, its size, and a tensor of its dtype and device."""
    parameters = list(problem.parameters.values())
    sizes = [p.numel() for p in parameters]
    with sdpa_kernel(SDPBackend.MATH), PlainNorms():
        loss = problem.losses(problem.model(problem.inputs), problem.targets).mean()
        gradients = torch.autograd.grad(loss, parameters, create_graph=True, allow_unused=True)
    usable = [(g, at) for at, g in enumerate(gradients) if g is not None and g.requires_grad]

    def product(vector: Tensor) -> Tensor:
        parts = [part.reshape(p.shape) for part, p in zip(torch.split(vector, sizes), parameters, strict=True)]
        along = [parts[at] for _, at in usable]
        images = torch.autograd.grad([g for g, _ in usable], parameters, along, retain_graph=True, allow_unused=True)
        filled = [torch.zeros_like(p) if i is None else i for p, i in zip(parameters, images, strict=True)]
        return torch.cat([f.detach().flatten() for f in filled])

    return product, sum(sizes), parameters[0].detach()


def _unit(vector: Tensor) -> Tensor:
    return torch.nn.functional.normalize(vector, dim=0)

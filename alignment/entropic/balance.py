"""Balance: how far a network is from the equipartition that stochastic gradient descent's noise drives it to.

For each symmetry with generator K, at stationarity E_B[g_Bᵀ K g_B] = (4 γ / η) θᵀ K θ. Residuals lie between 0 and 1
where there is no decay.

Source: Ziyin, Xu and Chuang 2025, arXiv 2505.12387; Ziyin et al. 2024, "Parameter symmetry and noise equilibrium of
stochastic gradient descent", arXiv 2402.07193.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from alignment.entropic.moments import Form, Gradients, expectations, squares
from alignment.entropic.problem import Problem
from alignment.entropic.sampling import Sampling
from alignment.entropic.symmetry import Absence, Heads, Symmetries, Units, symmetries
from alignment.errors import WorkError

_LIVE = 1e-10  # a unit with less than this share of the largest unit's gradients is dead


@dataclass(frozen=True)
class UnitBalance:
    """One layer's units: G_in and G_out are the E‖g‖² of what enters a unit and of what leaves it.

    Attributes:
        place: the layer.
        mass: Σ|G_in - G_out| / Σ(G_in + G_out), the number to go by.
        mean: the mean over live units of |G_in - G_out| / (G_in + G_out).
        largest: the largest of these; nearly dead units dominate it.
        live: how many units are live.
    """

    place: str
    mass: float
    mean: float
    largest: float
    live: int


@dataclass(frozen=True)
class PairBalance:
    """The two sides of a matrix symmetry: ‖M_out - M_in‖ / (‖M_out‖ + ‖M_in‖), in Frobenius norm.

    Attributes:
        place: the layer or the attention module.
        kind: `matrix`, `query_key` or `value_output`.
        each: head by head; one number for a layer.
    """

    place: str
    kind: str
    each: tuple[float, ...]

    @property
    def residual(self) -> float:
        """The worst of them."""
        return max(self.each)


@dataclass(frozen=True)
class Balance:
    """A network's balance on some data.

    Attributes:
        square: E_B‖g_B‖² over all trained parameters.
        units: one a hidden layer with the symmetry.
        layers: E_B‖g‖² of each layer's weight, where their equality is a law.
        layer: (max - min) / mean of these; None where it is no law.
        matrices: one a linear hidden layer.
        heads: two an attention module, queries with keys and values with outputs; the worst of their heads.
        absent: where no law holds, and why.
    """

    square: float
    units: tuple[UnitBalance, ...]
    layers: Mapping[str, float]
    layer: float | None
    matrices: tuple[PairBalance, ...]
    heads: tuple[PairBalance, ...]
    absent: tuple[Absence, ...]

    @property
    def neuron(self) -> float | None:
        """The worst layer's mass; None where no layer has the symmetry."""
        return max((u.mass for u in self.units), default=None)

    @property
    def matrix(self) -> float | None:
        """The worst residual of a matrix symmetry outside attention; None where there is none."""
        return max((m.residual for m in self.matrices), default=None)

    @property
    def attention(self) -> float | None:
        """The worst residual of attention; None where there is none."""
        return max((h.residual for h in self.heads), default=None)

    def to_dict(self) -> dict[str, Any]:
        """Returns it as plain JSON."""
        summary = {"neuron": self.neuron, "layer": self.layer, "matrix": self.matrix, "attention": self.attention}
        pairs = {
            name: [{**asdict(p), "residual": p.residual} for p in found]
            for name, found in (("matrices", self.matrices), ("heads", self.heads))
        }
        return {**summary, **asdict(self), "layers": dict(self.layers), **pairs}


def balance(
    problem: Problem, sampling: Sampling | None = None, decay: float = 0.0, found: Symmetries | None = None
) -> Balance:
    """Returns how far the model is from balance.

    Args:
        problem: the model, the loss and the data.
        sampling: batches as in training; None takes single rows.
        decay: 4 γ / η, in the stationary condition's own unit.
        found: the model's symmetries; None reads them off its names.

    Raises:
        TrainingError: if a row of the model has no gradient of its own.
        WorkError: if the gradients are not finite.

    >>> from torch import nn, ones
    >>> from alignment.entropic.problem import square_error
    >>> model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.ReLU(), nn.Linear(1, 1, bias=False)).double()
    >>> for weight, value in zip(model.parameters(), (4.0, 1.0)):
    ...     _ = nn.init.constant_(weight, value)
    >>> found = balance(Problem(model, square_error, ones(1, 1).double(), ones(1, 1).double()))
    >>> round(found.neuron, 4)  # (16 - 1) / (16 + 1)
    0.8824
    """
    found = found or symmetries(problem.model)
    return balance_of(problem, found, expectations(problem, sampling or Sampling(), forms(problem, found)), decay)


def balance_of(problem: Problem, found: Symmetries, values: Mapping[str, Tensor], decay: float = 0.0) -> Balance:
    """Returns the balance that the expectations of `forms` amount to; see `balance`.

    Raises:
        WorkError: if the gradients are not finite.
    """
    net = values
    if decay:  # which bears the same forms of the weights
        weights = {name: p.detach()[None] for name, p in problem.parameters.items()}
        net = {name: values[name] - decay * form(weights)[0] for name, form in forms(problem, found).items()}
    norms, left = ({n: float(v[n].sum()) for n in found.layers if n in v} for v in (values, net))
    made = Balance(
        square=sum(float(values[name].sum()) for name in problem.parameters),
        units=tuple(_units(group, values, net) for group in trained_units(problem, found)),
        layers=norms,
        layer=_layer(norms, left),
        matrices=tuple(
            PairBalance(group.place, "matrix", _pair(f"in {group.place}", f"out {group.place}", values, net))
            for group in trained_units(problem, found)
            if group.linear
        ),
        heads=tuple(
            PairBalance(pair.place, pair.kind, _pair(f"left {key(pair)}", f"right {key(pair)}", values, net))
            for pair in trained_heads(problem, found)
        ),
        absent=found.absent,
    )
    residuals = [each for pair in (*made.matrices, *made.heads) for each in pair.each]
    if not all(map(math.isfinite, (made.square, *residuals))):  # the residuals square what is squared already
        raise WorkError("the gradients are not finite on these data, or their squares: scale the data")
    return made


def forms(problem: Problem, found: Symmetries) -> dict[str, Form]:
    """Returns the quadratic forms that balance is read from: each entry's square, and each symmetry's two matrices."""
    made: dict[str, Form] = {name: squares(name) for name in problem.parameters}
    for group in trained_units(problem, found):
        if group.linear:
            made[f"in {group.place}"] = lambda g, group=group: _gram(_rows(g, group.incoming), 1)  # type: ignore[misc]
            made[f"out {group.place}"] = lambda g, group=group: _gram(g[group.outgoing].transpose(1, 2), 1)  # type: ignore[misc]
    for pair in trained_heads(problem, found):
        made[f"left {key(pair)}"] = lambda g, pair=pair: _gram(_rows(g, pair.left), pair.heads)  # type: ignore[misc]
        made[f"right {key(pair)}"] = lambda g, pair=pair: _gram(_right(g, pair), pair.heads)  # type: ignore[misc]
    return made


def key(pair: Heads) -> str:
    """Returns what a pair's forms are called."""
    return f"{pair.place} {pair.kind}"


def trained_units(problem: Problem, found: Symmetries) -> list[Units]:
    """Returns the units all of whose parameters are trained."""
    return [u for u in found.units if {*u.incoming, u.outgoing} <= set(problem.parameters)]


def trained_heads(problem: Problem, found: Symmetries) -> list[Heads]:
    """Returns the heads all of whose parameters are trained."""
    return [h for h in found.heads if {*h.left, *h.right} <= set(problem.parameters)]


def unit_sums(group: Units, values: Mapping[str, Tensor]) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Returns each unit's sum over what enters it, and over what leaves it, of values shaped like the parameters."""
    parts = [values[name].reshape(len(values[name]), -1).sum(1) for name in group.incoming]
    return torch.stack(parts).sum(0), values[group.outgoing].sum(0)


def _units(group: Units, values: Mapping[str, Tensor], net: Mapping[str, Tensor]) -> UnitBalance:
    entering, leaving = unit_sums(group, net)
    difference, total = entering - leaving, torch.stack(unit_sums(group, values)).sum(0)
    live = (total > _LIVE * total.max()) & (total > 0)
    if not live.any():
        return UnitBalance(group.place, 0.0, 0.0, 0.0, 0)
    each = (difference.abs() / total)[live]
    mass = float(difference.abs()[live].sum() / total[live].sum())
    return UnitBalance(group.place, mass, float(each.mean()), float(each.max()), int(live.sum()))


def _layer(norms: Mapping[str, float], net: Mapping[str, float]) -> float | None:
    if len(norms) < 2:
        return None
    mean, level = sum(norms.values()) / len(norms), net.values()
    return (max(level) - min(level)) / mean if mean > 0 else 0.0


def _pair(one: str, other: str, values: Mapping[str, Tensor], net: Mapping[str, Tensor]) -> tuple[float, ...]:
    size = torch.linalg.matrix_norm(values[one]) + torch.linalg.matrix_norm(values[other])
    gap = torch.linalg.matrix_norm(net[one] - net[other])
    return tuple(torch.where(size > 0, gap / size, 0.0).tolist())


def _rows(gradients: Gradients, names: tuple[str, ...]) -> Float[Tensor, "b n m"]:
    """Returns a weight's gradient, with its bias as one more column."""
    return torch.cat([g if g.ndim == 3 else g[..., None] for g in (gradients[name] for name in names)], 2)


def _right(gradients: Gradients, pair: Heads) -> Float[Tensor, "b n m"]:
    if pair.kind == "query_key":
        return _rows(gradients, pair.right)
    return gradients[pair.right[0]].transpose(1, 2)


def _gram(rows: Float[Tensor, "b n m"], heads: int) -> Float[Tensor, "b h w w"]:
    split = rows.reshape(len(rows), heads, -1, rows.shape[2])
    return torch.matmul(split, split.transpose(2, 3))

"""Symmetries: which rescalings leave a network's function as it is, and where a law must not be claimed.

| symmetry | action | needs |
| --- | --- | --- |
| unit | λ w_in, w_out / λ | a homogeneous activation (ReLU, leaky ReLU, none) between two linear layers |
| layer | λ_l W_l, Π λ_l = 1 | the same, and no biases in hidden layers |
| matrix | A W_i, W_{i+1} A⁻¹ | no activation between two linear layers |
| head | W_Q A, W_K A⁻ᵀ; W_V A, A⁻¹ W_O | no rotary embedding and no norm between a query and a key |
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from torch import nn

from alignment.entropic.layouts import between, feedforwards, head_count, output_name, packed, projections
from alignment.models import DenseNetwork

_HOMOGENEOUS = (nn.ReLU, nn.LeakyReLU, nn.Identity, nn.Dropout)
_HOMOGENEOUS_NAMES = ("relu", "leaky_relu", "linear")


@dataclass(frozen=True)
class Units:
    """Hidden units between two linear layers.

    Attributes:
        place: the layer whose outputs they are.
        incoming: the parameters whose first axis is the unit: a weight, and its bias if there is one.
        outgoing: the weight whose second axis is the unit.
        linear: whether there is no activation, so that any invertible matrix may stand between.
    """

    place: str
    incoming: tuple[str, ...]
    outgoing: str
    linear: bool


@dataclass(frozen=True)
class Heads:
    """The pair of projections that meet in each attention head.

    Attributes:
        place: the attention module.
        kind: queries with keys, or values with outputs.
        left: the parameters of queries or values, whose first axis is head by head: a weight, and its bias.
        right: of keys, likewise; or the output's weight, whose second axis is head by head.
        heads: how many.
    """

    place: str
    kind: Literal["query_key", "value_output"]
    left: tuple[str, ...]
    right: tuple[str, ...]
    heads: int


@dataclass(frozen=True)
class Absence:
    """A place where a law does not hold: what must not be reported or rebalanced, with the reason."""

    place: str
    law: Literal["unit", "layer", "matrix", "head"]
    reason: str


@dataclass(frozen=True)
class Symmetries:
    """What was found in a network.

    Attributes:
        units: where unit rescaling is a symmetry.
        layers: the weights whose gradients' norms are equal in balance; empty where that is no law.
        heads: where attention's is.
        absent: where none is, and why.
    """

    units: tuple[Units, ...]
    layers: tuple[str, ...]
    heads: tuple[Heads, ...]
    absent: tuple[Absence, ...]


def symmetries(model: nn.Module) -> Symmetries:
    """Returns the symmetries of dense networks, of `nn.Sequential`s of linear layers, and of attention modules.

    What an attention module is, and a block's feed-forward part, is read from their names: see `layouts`.

    >>> found = symmetries(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)))
    >>> found.units[0].incoming, found.units[0].outgoing
    (('0.weight', '0.bias'), '2.weight')
    >>> symmetries(nn.Sequential(nn.Linear(2, 3), nn.GELU(), nn.Linear(3, 1))).absent[0].reason
    'GELU is not homogeneous: a unit rescaled before it is not rescaled behind it'
    """
    tied = _tied(model)
    units: list[Units] = []
    absent: list[Absence] = []
    layers: tuple[str, ...] = ()
    for prefix, chain in _chains(model):
        here, missing = _chain(chain, tied)
        units += here
        absent += missing
        if prefix == "" and here and not missing:
            weights = [here[0].incoming[0], *(u.outgoing for u in here)]
            if any(len(u.incoming) > 1 for u in here):
                reason = (
                    "hidden biases take part in each layer's scaling, so the weights' gradient norms need not equal"
                )
                absent.append(Absence("", "layer", reason))
            else:
                layers = tuple(weights)
    here, missing = _feedforwards(model, tied)
    known = {unit.place for unit in units}
    units += [unit for unit in here if unit.place not in known]
    absent += missing
    heads: list[Heads] = []
    for place, module in model.named_modules():
        pair = _attention(model, place, module, tied)
        if isinstance(pair, Absence):
            absent.append(pair)
        elif pair is not None:
            heads += pair
    return Symmetries(tuple(units), layers, tuple(heads), tuple(absent))


def _chains(model: nn.Module) -> Iterator[tuple[str, list[tuple[str, nn.Module]]]]:
    """Yields each run of linear layers and activations: a prefix and the named modules."""
    if isinstance(model, DenseNetwork):
        activation = {"linear": nn.Identity, "relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU}[model.config.activation]
        run: list[tuple[str, nn.Module]] = []
        for number, layer in enumerate(model.layers):
            run += [(f"layers.{number}", layer), ("", activation())]
        yield "", run[:-1]
        return
    for name, module in model.named_modules():
        if isinstance(module, nn.Sequential):
            prefix = f"{name}." if name else ""
            yield name, [(prefix + key, child) for key, child in module.named_children()]


def _tied(model: nn.Module) -> set[str]:
    """Returns the names of parameters that two modules share."""
    owners: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        owners.setdefault(id(parameter), []).append(name)
    return {name for names in owners.values() if len(names) > 1 for name in names}


def _chain(chain: list[tuple[str, nn.Module]], tied: set[str]) -> tuple[list[Units], list[Absence]]:
    places = [i for i, (_, module) in enumerate(chain) if isinstance(module, nn.Linear)]
    units, absent = [], []
    for start, stop in pairwise(places):
        name, first = chain[start]
        between = [module for _, module in chain[start + 1 : stop]]
        odd = next((module for module in between if not isinstance(module, _HOMOGENEOUS)), None)
        if odd is not None:
            kind = type(odd).__name__
            reason = f"{kind} is not homogeneous: a unit rescaled before it is not rescaled behind it"
            absent.append(Absence(name, "unit", reason))
            continue
        incoming = (f"{name}.weight", f"{name}.bias") if first.bias is not None else (f"{name}.weight",)
        outgoing = f"{chain[stop][0]}.weight"
        if tied & {*incoming, outgoing}:
            absent.append(Absence(name, "unit", "its weight is used in another place too"))
            continue
        linear = all(isinstance(module, nn.Identity) for module in between)
        units.append(Units(name, incoming, outgoing, linear))
    return units, absent


def _attention(model: nn.Module, place: str, module: nn.Module, tied: set[str]) -> list[Heads] | Absence | None:
    names = projections(module)
    if names is None:
        if packed(module):
            reason = "its projections are packed into one weight; write them as linear layers"
            return Absence(place, "head", reason)
        return None
    query, key, value = (getattr(module, name) for name in names)
    count = head_count(module)
    if not count or query.out_features % count or key.out_features != query.out_features:
        return Absence(place, "head", "queries and keys are not of the same heads")
    if value.out_features % count:
        return Absence(place, "head", "values are not of the same heads as queries")
    between_them = between(model, module)
    if between_them is not None:
        reason = f"{between_them} stands between queries and keys and breaks their symmetry"
        return Absence(place, "head", reason)
    dot = f"{place}." if place else ""
    left, right, values = (_both(dot + n, part) for n, part in zip(names, (query, key, value), strict=True))
    found = [Heads(place, "query_key", left, right, count)]
    output = output_name(model, place, module)
    if output is not None and model.get_submodule(output).in_features == value.out_features:
        found.append(Heads(place, "value_output", values, (f"{output}.weight",), count))
    if tied & {name for pair in found for name in (*pair.left, *pair.right)}:
        return Absence(place, "head", "its weight is used in another place too")
    return found


def _feedforwards(model: nn.Module, tied: set[str]) -> tuple[list[Units], list[Absence]]:
    """Returns the units between the two layers of each block's feed-forward part, where its activation lets them."""
    units, absent = [], []
    for name, further, activation in feedforwards(model):
        incoming, outgoing = _both(name, model.get_submodule(name)), f"{further}.weight"
        if activation.lower() not in _HOMOGENEOUS_NAMES:
            reason = f"{activation} is not homogeneous: a unit rescaled before it is not rescaled behind it"
            absent.append(Absence(name, "unit", reason))
        elif tied & {*incoming, outgoing}:
            absent.append(Absence(name, "unit", "its weight is used in another place too"))
        else:
            units.append(Units(name, incoming, outgoing, linear=False))
    return units, absent


def _both(name: str, layer: nn.Module | None) -> tuple[str, ...]:
    return (f"{name}.weight", f"{name}.bias") if getattr(layer, "bias", None) is not None else (f"{name}.weight",)

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

from alignment.models import DenseNetwork

_HOMOGENEOUS = (nn.ReLU, nn.LeakyReLU, nn.Identity, nn.Dropout)


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

    An attention module is one with the linear children `query`, `key` and `value` and a count `heads` (or
    `num_attention_heads`, `num_heads`); its output is the child `output`, or `output.dense` beside it, as in BERT.

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
    heads: list[Heads] = []
    for place, module in model.named_modules():
        pair = _attention(model, place, module)
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


def _attention(model: nn.Module, place: str, module: nn.Module) -> list[Heads] | Absence | None:
    query, key, value = (getattr(module, name, None) for name in ("query", "key", "value"))
    if not all(isinstance(part, nn.Linear) for part in (query, key, value)):
        if isinstance(module, nn.MultiheadAttention):
            return Absence(place, "head", "its projections are packed into one weight; write them as linear layers")
        return None
    assert isinstance(query, nn.Linear)  # noqa: S101 - known by the line above
    count = next((getattr(module, n) for n in ("heads", "num_attention_heads", "num_heads") if hasattr(module, n)), 0)
    if not count or query.out_features % count or query.weight.shape[0] != getattr(key, "out_features", 0):
        return Absence(place, "head", "queries and keys are not of the same heads")
    for name, _ in module.named_modules():
        if any(
            word in name.lower() for word in ("rotary", "q_norm", "k_norm", "query_norm", "key_norm", "distance_emb")
        ):
            return Absence(place, "head", f"{name} stands between queries and keys and breaks their symmetry")
    dot = f"{place}." if place else ""
    found = [Heads(place, "query_key", _both(dot + "query", query), _both(dot + "key", key), count)]
    output = _output(model, place, module)
    if output is not None:
        found.append(Heads(place, "value_output", _both(dot + "value", value), (f"{output}.weight",), count))
    return found


def _output(model: nn.Module, place: str, module: nn.Module) -> str | None:
    if isinstance(getattr(module, "output", None), nn.Linear):
        return f"{place}.output" if place else "output"
    parent, _, _ = place.rpartition(".")
    beside = getattr(model.get_submodule(parent), "output", None)
    if isinstance(getattr(beside, "dense", None), nn.Linear):
        return f"{parent}.output.dense" if parent else "output.dense"
    return None


def _both(name: str, layer: nn.Module | None) -> tuple[str, ...]:
    return (f"{name}.weight", f"{name}.bias") if getattr(layer, "bias", None) is not None else (f"{name}.weight",)

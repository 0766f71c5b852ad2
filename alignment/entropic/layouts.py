"""Layouts: how attention and the layers behind it are named in the models that have them.

A layout that is not known here, or in which something stands between two projections, is an absence with its reason:
nothing is claimed of what could not be read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

_PROJECTIONS = (("query", "key", "value"), ("q_proj", "k_proj", "v_proj"), ("q_lin", "k_lin", "v_lin"))
_OUTPUTS = ("output", "o_proj", "out_proj", "out_lin")
_COUNTS = ("heads", "num_attention_heads", "num_heads", "n_heads")
_PACKED = ("qkv", "c_attn", "query_key_value", "in_proj", "Wqkv", "qkv_proj")
_FEEDFORWARD = (
    ("intermediate.dense", "output.dense"),
    ("mlp.fc1", "mlp.fc2"),
    ("fc1", "fc2"),
    ("ffn.lin1", "ffn.lin2"),
)
_GATED = ("gate_proj", "up_proj", "down_proj")
_ACTIVATIONS = ("hidden_act", "activation_function", "activation", "hidden_activation")
_BETWEEN = (
    "rotary",
    "rope",
    "q_norm",
    "k_norm",
    "query_norm",
    "key_norm",
    "q_layernorm",
    "k_layernorm",
    "distance_emb",
)
_ROTARY = ("rotary", "rope")


def projections(module: nn.Module) -> tuple[str, str, str] | None:
    """Returns what a module calls its projections to queries, keys and values; None if it is no attention."""
    for names in _PROJECTIONS:
        if all(isinstance(getattr(module, name, None), nn.Linear) for name in names):
            return names
    return None


def packed(module: nn.Module) -> bool:
    """Whether a module holds its three projections in one weight."""
    if isinstance(module, nn.MultiheadAttention):
        return True
    return any(isinstance(getattr(module, name, None), nn.Module) for name in _PACKED)


def head_count(module: nn.Module) -> int:
    """Returns how many heads an attention module has; 0 where it does not say."""
    for holder in (module, getattr(module, "config", None)):
        for name in _COUNTS:
            found = getattr(holder, name, None)
            if isinstance(found, int):
                return found
    return 0


def output_name(model: nn.Module, place: str, module: nn.Module) -> str | None:
    """Returns the projection from an attention's heads: a child of it, or `output.dense` beside it, as in BERT."""
    for name in _OUTPUTS:
        if isinstance(getattr(module, name, None), nn.Linear):
            return f"{place}.{name}" if place else name
    parent, _, _ = place.rpartition(".")
    beside = getattr(model.get_submodule(parent), "output", None)
    if isinstance(getattr(beside, "dense", None), nn.Linear):
        return f"{parent}.output.dense" if parent else "output.dense"
    return None


def between(model: nn.Module, module: nn.Module) -> str | None:
    """Returns what stands between the queries and keys of an attention module; None if nothing is known to."""
    own = (name for name, _ in module.named_modules() if any(word in name.lower() for word in _BETWEEN))
    # Rotations are often made once, beside the layers that they are applied in.
    shared = (name for name, _ in model.named_modules() if any(word in name.lower() for word in _ROTARY))
    return next(own, None) or next(shared, None)


def feedforwards(model: nn.Module) -> Iterator[tuple[str, str, str]]:
    """Yields two linear layers and the activation between them: of blocks whose activation a config names."""
    for place, module in model.named_modules():
        prefix = f"{place}." if place else ""
        for one, two in _FEEDFORWARD:
            if isinstance(_child(module, one), nn.Linear) and isinstance(_child(module, two), nn.Linear):
                yield prefix + one, prefix + two, _activation(model)
        if all(isinstance(getattr(module, name, None), nn.Linear) for name in _GATED):
            yield prefix + "up_proj", prefix + "down_proj", "a gate"


def _child(module: nn.Module, path: str) -> Any:
    found: Any = module
    for name in path.split("."):
        found = getattr(found, name, None)
    return found


def _activation(model: nn.Module) -> str:
    configs = (config for m in model.modules() if (config := getattr(m, "config", None)) is not None)
    named = (getattr(config, name, None) for config in configs for name in _ACTIVATIONS)
    return next((str(value) for value in named if value), "an unknown activation")

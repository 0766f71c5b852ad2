"""Activations: what a model's layers answered to each item of a probe set."""

from alignment.activations.data import Activations, Layers, Origin, require_same_items, select_layers
from alignment.activations.files import read_activations, write_activations

__all__ = [
    "Activations",
    "Layers",
    "Origin",
    "read_activations",
    "require_same_items",
    "select_layers",
    "write_activations",
]

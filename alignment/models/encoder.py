"""Encoder: a model as the rest of Accord sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

Pooling = Literal["mean", "last", "cls", "max"]
POOLINGS: tuple[Pooling, ...] = ("mean", "last", "cls", "max")


@dataclass(frozen=True)
class Layer:
    """One layer of a model: its name, unique in the model, and the width of its pooled activation."""

    name: str
    width: int


class Encoder(Protocol):
    """A loaded model, on its device, that turns items into one pooled vector a layer.

    Attributes:
        reference: how it was named, with a hub model's revision resolved to a commit.
        modality: what its items are: `text` (str), `image` (an RGB `PIL.Image.Image`) or `array` (a 1-D numpy array).
        layers: from input to output.
        parameters: how many weights it has.
        fingerprint: sha256 of its weights and its preprocessing.
        poolings: those it can do; the others have no meaning for it.
        device: where it runs.
        dtype: what it computes in.
    """

    reference: str
    modality: Literal["text", "image", "array"]
    layers: tuple[Layer, ...]
    parameters: int
    fingerprint: str
    poolings: tuple[Pooling, ...]
    device: torch.device
    dtype: torch.dtype

    def encode(self, items: Sequence[Any], pooling: Pooling) -> list[Tensor]:
        """Returns one `[len(items), width]` float32 tensor a layer, on the encoder's device, row i for item i.

        An item's result does not depend on the items beside it: padding is masked.
        """

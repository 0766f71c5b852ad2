"""Encoder: a model as the rest of Accord sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from alignment.errors import ModelError

Modality = Literal["text", "image", "array"]
Pooling = Literal["mean", "last", "cls", "max"]
POOLINGS: tuple[Pooling, ...] = ("mean", "last", "cls", "max")


@dataclass(frozen=True)
class Layer:
    """One layer of a model: its name, unique in the model, and the width of its pooled activation."""

    name: str
    width: int


@runtime_checkable
class Encoder(Protocol):
    """A loaded model, on its device, that turns items into one pooled vector a layer."""

    @property
    def reference(self) -> str:
        """How it was named, with a hub model's revision resolved to a commit."""

    @property
    def modality(self) -> Modality:
        """What its items are: `text` (str), `image` (an RGB `PIL.Image.Image`) or `array` (a 1-D numpy array)."""

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Its layers, from input to output."""

    @property
    def parameters(self) -> int:
        """How many weights it has."""

    @property
    def fingerprint(self) -> str:
        """Sha256 of its weights and its preprocessing."""

    @property
    def poolings(self) -> tuple[Pooling, ...]:
        """Those it can do; the others have no meaning for it."""

    @property
    def device(self) -> torch.device:
        """Where it runs."""

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in."""

    def encode(self, items: Sequence[Any], pooling: Pooling) -> list[Tensor]:
        """Returns one `[len(items), width]` float32 tensor a layer, on the encoder's device, row i for item i.

        An item's result does not depend on the items beside it: padding is masked.

        Raises:
            ModelError: if `pooling` is not one of `poolings`, or an item is not of the modality.
        """


@dataclass(frozen=True, kw_only=True, eq=False)
class EncoderBase:
    """The facts that every encoder holds; see `Encoder` for what each means."""

    reference: str
    modality: Modality
    layers: tuple[Layer, ...]
    parameters: int
    fingerprint: str
    poolings: tuple[Pooling, ...]
    device: torch.device
    dtype: torch.dtype

    def check(self, items: Sequence[Any], pooling: str, kind: type) -> None:
        """Raises what `encode` promises to raise, before anything runs.

        Args:
            items: what is to be encoded.
            pooling: the pooling asked for.
            kind: the type that each item must have.

        Raises:
            ModelError: if `pooling` is not one of `poolings`, or an item is not a `kind`.
        """
        if pooling not in self.poolings:
            raise ModelError(
                f"{self.reference} cannot pool by {pooling!r}; it can pool by: {', '.join(map(repr, self.poolings))}"
            )
        for row, item in enumerate(items):
            if not isinstance(item, kind):
                raise ModelError(
                    f"{self.reference} encodes {self.modality} items ({kind.__name__}); "
                    f"item {row} is a {type(item).__name__}"
                )

"""Activations: one array a layer, row i for item i."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from alignment.errors import ActivationsError, MismatchError, RequestError, UnknownNameError

Layers = Literal["all", "last"] | tuple[str | int, ...]  # which layers of a model are meant
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@dataclass(frozen=True)
class Origin:
    """What made some activations, as a report's provenance tells it.

    Attributes:
        reference: the model's or the file's name.
        fingerprint: sha256 of weights and preprocessing, or of a file's arrays.
        modality: what the model takes; None for a file.
        parameters: how many weights the model has; None for a file.
        pooling: how positions were pooled; None for a file.
    """

    reference: str
    fingerprint: str
    modality: str | None = None
    parameters: int | None = None
    pooling: str | None = None


@dataclass(frozen=True, eq=False)
class Activations:
    """Layers' activations on the same items.

    Attributes:
        layers: the layers' names, unique, from input to output.
        values: one `[items, width]` floating tensor a layer.
        ids: one a row, or None if the items have none.
        origin: what made them.
    """

    layers: tuple[str, ...]
    values: tuple[Tensor, ...]
    ids: tuple[str, ...] | None
    origin: Origin

    def __post_init__(self) -> None:
        name = self.origin.reference
        if not self.layers:
            raise ActivationsError(f"{name} holds no layer; write one 2-D array [items, width] a layer")
        if len(self.layers) != len(self.values) or len(set(self.layers)) != len(self.layers):
            raise ActivationsError(f"{name}: layer names must be unique, one an array")
        for layer in self.layers:
            if not layer.isprintable() or not layer.strip():  # it is printed on terminals, in figures and in lists
                raise ActivationsError(f"{name}: the layer name {layer!r} cannot be printed; give it another")
        for layer, value in zip(self.layers, self.values, strict=True):
            if value.ndim != 2 or 0 in value.shape:
                raise ActivationsError(
                    f"{name}: layer {layer!r} has shape {list(value.shape)}; it must be [items, width]"
                )
            if value.dtype not in FLOATS:
                kind = str(value.dtype).removeprefix("torch.")
                raise ActivationsError(
                    f"{name}: layer {layer!r} holds {kind}; write float16, bfloat16, float32 or float64"
                )
        rows = {value.shape[0] for value in self.values}
        if len(rows) > 1:
            raise ActivationsError(f"{name}: layers have {sorted(rows)} rows; each must have one row an item")
        if self.ids is not None and len(self.ids) not in rows:
            raise ActivationsError(f"{name}: {len(self.ids)} ids for {rows.pop()} rows; give each row its own")

    def __len__(self) -> int:
        return int(self.values[0].shape[0])

    def select(self, wanted: Layers) -> Activations:
        """Returns the layers wanted, in that order; a negative number counts from the last.

        Raises:
            UnknownNameError: for a name that no layer has.
            RequestError: for a number out of range, or a layer wanted twice.
        """
        index = select_layers(self.layers, wanted)
        return replace(self, layers=tuple(self.layers[i] for i in index), values=tuple(self.values[i] for i in index))

    def take(self, rows: Sequence[int]) -> Activations:
        """Returns the given rows of every layer."""
        index = torch.as_tensor(rows, dtype=torch.long)
        ids = None if self.ids is None else tuple(self.ids[i] for i in rows)
        return replace(self, values=tuple(value[index.to(value.device)] for value in self.values), ids=ids)


def select_layers(layers: Sequence[str], wanted: Layers) -> list[int]:
    """Returns the positions in `layers` of those wanted: all, the last, or names and numbers.

    Raises:
        UnknownNameError: for a name that no layer has.
        RequestError: for a number out of range, a layer wanted twice, or nothing wanted.
    """
    if wanted == "all":
        return list(range(len(layers)))
    if wanted == "last":
        return [len(layers) - 1]
    index = []
    for want in wanted:
        if isinstance(want, int):
            if not -len(layers) <= want < len(layers):
                raise RequestError(f"there is no layer {want}: the model has {len(layers)}, 0 to {len(layers) - 1}")
            index.append(want % len(layers))
        elif want in layers:
            index.append(layers.index(want))
        else:
            raise UnknownNameError("layer", want, layers)
    if not index or len(set(index)) != len(index):
        raise RequestError(f"layers {list(wanted)!r} must name at least one layer, and none twice")
    return index


def require_same_items(a: Activations, b: Activations) -> None:
    """Checks that row i is the same item on both sides, as far as the two say.

    Raises:
        MismatchError: if the row counts differ, or both have ids and these differ.
    """
    names = f"{a.origin.reference} and {b.origin.reference}"
    if len(a) != len(b):
        raise MismatchError(f"{names} have {len(a)} and {len(b)} rows; both must hold the same items in the same order")
    if a.ids is None or b.ids is None or a.ids == b.ids:
        return
    row = next(i for i, (left, right) in enumerate(zip(a.ids, b.ids, strict=True)) if left != right)
    reordered = sorted(a.ids) == sorted(b.ids)
    how = (
        "the same ids in another order: sort both alike" if reordered else "other ids: extract both from one probe set"
    )
    raise MismatchError(f"{names} have {how} (row {row} is {a.ids[row]!r} and {b.ids[row]!r})")

"""extract(): a model's activations on a probe set, in batches, every row where its id says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from alignment.activations import Activations, Layers, Origin, read_activations, select_layers
from alignment.errors import MismatchError, ModelError, WorkError
from alignment.models import Encoder, Pooling
from alignment.probes import Draw, ImageItem, ProbeSet
from alignment.probes.probe_set import Side

_BATCH = {"cpu": 32, "cuda": 256}


def check_fit(encoder: Encoder, probe: ProbeSet, pooling: Pooling, side: Side) -> None:
    """Checks, before any work, that the model can take the probe set and pool as asked.

    Raises:
        ProbeError: if the set lacks the model's modality or has a broken image.
        ModelError: if the model cannot pool so.
    """
    probe.items(encoder.modality, side)
    if pooling not in encoder.poolings:
        able = ", ".join(encoder.poolings)
        raise ModelError(f"{encoder.reference} cannot pool by {pooling!r}; it can by {able}")
    probe.check(encoder.modality)


def extract(
    encoder: Encoder,
    probe: ProbeSet,
    *,
    side: Side = "a",
    pooling: Pooling = "mean",
    layers: Layers = "all",
    batch_size: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Activations:
    """Returns one pooled activation a layer and item, float32, on the CPU; row i is item i.

    Items of like length share a batch, and a batch that does not fit the device's memory is halved.

    Args:
        encoder: the model.
        probe: the items.
        side: which array view to take, for models on vectors.
        pooling: how positions become one vector.
        layers: which layers are kept.
        batch_size: items at a time; None chooses by the device.
        progress: called with how many items are done, of how many.

    Raises:
        WorkError: if one item alone does not fit the memory.
    """
    items = probe.items(encoder.modality, side)
    names = [layer.name for layer in encoder.layers]
    wanted = select_layers(names, layers)
    rows = _Rows(probe.ids, [encoder.layers[i].width for i in wanted])
    order = sorted(
        range(len(items)), key=lambda i: _size(items[i]), reverse=True
    )  # the largest first: memory shows early
    size = batch_size or _BATCH.get(encoder.device.type, 32)
    at = 0
    progress(0, len(items))
    while at < len(order):
        batch = order[at : at + size]
        try:
            with torch.inference_mode(), _exact():
                outputs = encoder.encode([_opened(items[i]) for i in batch], pooling)
        except RuntimeError as error:
            if not _lacks_memory(error):
                raise
            if size == 1:
                raise WorkError(
                    f"{encoder.reference}: one item alone does not fit the memory of {encoder.device}"
                ) from error
            size = max(1, size // 2)
            continue
        rows.put([probe.ids[i] for i in batch], [outputs[i] for i in wanted])
        at += len(batch)
        progress(at, len(items))
    origin = Origin(encoder.reference, encoder.fingerprint, encoder.modality, encoder.parameters, pooling)
    return Activations(tuple(names[i] for i in wanted), tuple(rows.finished()), probe.ids, origin)


def from_file(path: str, probe: ProbeSet | Draw, whole: int) -> Activations:
    """Returns the rows of a file of activations that belong to the probe set's items, in its order.

    Args:
        path: the file.
        probe: the items, possibly a sample.
        whole: how many items the set has that they were sampled from.

    Raises:
        ActivationsError: if the file cannot be read.
        MismatchError: if it has ids and lacks one, or has none and its rows are not the probe set's.
    """
    read = read_activations(path)
    if read.ids is not None:
        place = {item: row for row, item in enumerate(read.ids)}
        if len(place) != len(read.ids):
            twice = next(item for row, item in enumerate(read.ids) if place[item] != row)
            raise MismatchError(f"{path} has the id {twice!r} more than once; give each row its own")
        missing = [item for item in probe.ids if item not in place]
        if missing:
            raise MismatchError(
                f"{path} has no row for item {missing[0]!r} of probe set {probe.name!r} ({len(missing)} are missing)"
            )
        return read.take([place[item] for item in probe.ids])
    if len(read) != whole:
        raise MismatchError(
            f"{path} has {len(read)} rows and no ids, and probe set {probe.name!r} has {whole} items; "
            "give it one row an item, or an array 'ids'"
        )
    return replace(read if probe.rows is None else read.take(probe.rows), ids=probe.ids)


def _lacks_memory(error: RuntimeError) -> bool:
    """Whether a device had too little memory; cuBLAS and cuDNN take theirs past torch, and say so in words alone."""
    return isinstance(error, torch.OutOfMemoryError) or "ALLOC_FAILED" in str(error)


@contextmanager
def _exact() -> Iterator[None]:
    """Has a GPU's convolutions formed in float32 and the same way each time; torch lets it take TF32 unasked."""
    cudnn: Any = torch.backends.cudnn  # its attributes are made as it is loaded
    kept = cudnn.conv.fp32_precision, cudnn.deterministic
    cudnn.conv.fp32_precision, cudnn.deterministic = "ieee", True
    try:
        yield
    finally:
        cudnn.conv.fp32_precision, cudnn.deterministic = kept


class _Rows:
    """Where outputs are put by their items' ids, each exactly once: a scrambled row would silently ruin every score."""

    def __init__(self, ids: Sequence[str], widths: Sequence[int]) -> None:
        self.place = {item: row for row, item in enumerate(ids)}
        self.values = [torch.empty(len(ids), width) for width in widths]
        self.seen = torch.zeros(len(ids), dtype=torch.bool)

    def put(self, ids: Sequence[str], outputs: Sequence[Tensor]) -> None:
        index = torch.tensor([self.place[item] for item in ids])
        if self.seen[index].any() or any(len(output) != len(ids) for output in outputs):
            raise WorkError("a batch came back with rows that are not its items; this is a defect, please report it")
        self.seen[index] = True
        for value, output in zip(self.values, outputs, strict=True):
            value[index] = output.float().cpu()

    def finished(self) -> Iterator[Tensor]:
        if not self.seen.all():
            raise WorkError("some items have no activation; this is a defect, please report it")
        yield from self.values


def _size(item: object) -> int:
    return len(item) if isinstance(item, str) else 1


def _opened(item: object) -> object:
    return item.open() if isinstance(item, ImageItem) else item

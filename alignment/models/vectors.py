"""Networks on vectors: how they are saved to a folder, and read from it as encoders."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from alignment.errors import ModelError
from alignment.models.checkpoint import Checkpoint
from alignment.models.dense import FORMAT, DenseConfig, DenseNetwork
from alignment.models.encoder import EncoderBase, Layer, Pooling
from alignment.models.fingerprint import fingerprint, weights_digest
from alignment.models.placement import Placement


@dataclass(frozen=True, kw_only=True, eq=False)
class VectorEncoder(EncoderBase):
    """A network on vectors: an item is a 1-D array, its layers are the hidden ones.

    Attributes:
        model: the network.
    """

    model: DenseNetwork

    def encode(self, items: Sequence[Any], pooling: Pooling) -> list[Tensor]:
        """Returns one `[len(items), width]` float32 tensor a layer; see `Encoder.encode`.

        Raises:
            ModelError: as every encoder does, and if an item has another width than the network's input.
        """
        self.check(items, pooling, np.ndarray)
        width = self.model.config.widths[0]
        for row, item in enumerate(items):
            if item.shape != (width,):
                raise ModelError(
                    f"{self.reference} takes vectors of width {width}; item {row} has the shape {list(item.shape)}: "
                    "give each side its own view, as arrays 'a' and 'b'"
                )
        rows = np.stack(items) if items else np.empty((0, width))
        x = torch.from_numpy(rows.astype(np.float64)).to(self.device, self.dtype)
        with torch.no_grad():
            return [state.float() for state in self.model.hidden(x)]


def is_dense(checkpoint: Checkpoint) -> bool:
    """Returns whether a checkpoint is one that Accord saved of a network on vectors."""
    return checkpoint.config.get("accord") == FORMAT


def read_dense(checkpoint: Checkpoint) -> DenseNetwork:
    """Returns the network that a checkpoint holds, in the stored dtype, on the CPU.

    Raises:
        ModelError: if config and weights do not describe one.
    """
    config = DenseConfig.from_dict(checkpoint.config, checkpoint.reference)
    checkpoint.check_shapes(config.shapes)  # before room is made for what a config merely says
    network = DenseNetwork(config, checkpoint.dtype())
    network.load_state_dict(dict(checkpoint.tensors()), strict=True)
    return network


def load_dense(checkpoint: Checkpoint, place: Placement) -> VectorEncoder:
    """Returns the encoder of a network on vectors.

    Raises:
        ModelError: if config and weights do not describe one.
    """
    network = read_dense(checkpoint)
    if not network.config.widths[1:-1]:
        raise ModelError(f"{checkpoint.reference} has no hidden layer to compare; train one with at least one")
    dtype = place.dtype_for(checkpoint.dtype())
    return VectorEncoder(
        reference=checkpoint.reference,
        modality="array",
        layers=tuple(Layer(f"hidden.{i}", width) for i, width in enumerate(network.config.widths[1:-1], start=1)),
        parameters=sum(p.numel() for p in network.parameters()),
        fingerprint=fingerprint(weights_digest(checkpoint.tensors()), checkpoint.facts()),
        poolings=("mean",),
        device=place.device,
        dtype=dtype,
        model=network.eval().requires_grad_(False).to(place.device, dtype),
    )


def dense_files(network: DenseNetwork) -> dict[str, bytes]:
    """Returns the names and contents of the files that `path:` reads the network from."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    config = json.dumps(network.config.to_dict(), indent=2) + "\n"
    return {"config.json": config.encode(), "model.safetensors": save(weights)}


def open_dense(folder: Path, reference: str) -> DenseNetwork:
    """Returns the network on vectors in a folder.

    Raises:
        ModelError: if the folder holds another model, or none.
    """
    checkpoint = Checkpoint.open(folder, reference)
    if not is_dense(checkpoint):
        raise ModelError(f"{reference} is not a network on vectors that Accord saved; give a folder of `accord train`")
    return read_dense(checkpoint)

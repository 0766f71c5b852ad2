"""Towers: how they are saved to a folder, and read from it as encoders of images or of texts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from safetensors.torch import save
from torch import Tensor

from alignment.errors import ModelError
from alignment.models.checkpoint import Checkpoint
from alignment.models.encoder import Encoder, EncoderBase, Layer, Pooling
from alignment.models.fingerprint import fingerprint, weights_digest
from alignment.models.image import image_encoder
from alignment.models.placement import Placement
from alignment.models.pooling import pool_text
from alignment.models.tower import FORMAT, LETTERS, PADDING, UNKNOWN, TowerConfig, TowerNetwork

_MOST = 2**24  # numbers along one axis of a weight: no size that is ever trained, and no product that overflows


@dataclass(frozen=True, kw_only=True, eq=False)
class TextTower(EncoderBase):
    """A tower of texts; see `Encoder`.

    Attributes:
        model: the network.
    """

    model: TowerNetwork

    def encode(self, items: Sequence[Any], pooling: Pooling) -> list[Tensor]:
        """Returns one `[len(items), width]` float32 tensor a layer; see `Encoder.encode`."""
        self.check(items, pooling, str)
        if not items:
            return [torch.empty(0, layer.width, device=self.device) for layer in self.layers]
        x = letters(items, self.model.config).to(self.device)
        with torch.no_grad():
            found, _ = self.model.states(x)
        return [pool_text(state, x != PADDING, pooling) for state in found]


def pixels(image: Image.Image, side: int) -> Float[Tensor, "3 s s"]:
    """Returns an image of that side with each channel between -1 and 1."""
    small = np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.BOX))
    return torch.from_numpy(small.astype(np.float32)).permute(2, 0, 1) / 127.5 - 1


def letters(texts: Sequence[str], config: TowerConfig) -> Int[Tensor, "b t"]:
    """Returns the numbers of the texts' first letters; of a text without any, one unknown letter.

    >>> letters(["Cab!", ""], TowerConfig("text", 8, 2, 1, 3, alphabet="abc", length=4)).tolist()
    [[4, 2, 3, 1], [1, 0, 0, 0]]
    """
    place = {letter: LETTERS + i for i, letter in enumerate(config.alphabet)}
    found = torch.full((len(texts), config.length), PADDING)
    for row, text in enumerate(texts):
        numbers = [place.get(letter, UNKNOWN) for letter in text.lower()[: config.length]] or [UNKNOWN]
        found[row, : len(numbers)] = torch.tensor(numbers)
    return found


def is_tower(checkpoint: Checkpoint) -> bool:
    """Returns whether a checkpoint is one that Accord saved of a tower."""
    return checkpoint.config.get("accord") == FORMAT


def read_tower(checkpoint: Checkpoint) -> TowerNetwork:
    """Returns the tower that a checkpoint holds, in the stored dtype, on the CPU.

    Raises:
        ModelError: if config and weights do not describe one.
    """
    config = TowerConfig.from_dict(checkpoint.config, checkpoint.reference)
    _check_shapes(config, checkpoint)  # before room is made for what a config merely says
    network = TowerNetwork(config, checkpoint.dtype())
    network.load_state_dict(dict(checkpoint.tensors()), strict=True)
    return network


def _check_shapes(config: TowerConfig, checkpoint: Checkpoint) -> None:
    stored = sum(1 for _ in checkpoint.names())
    if config.blocks > stored or max(config.width, config.outputs, config.inputs) > _MOST:
        raise ModelError(
            f"{checkpoint.reference}: its weights are not those of its config.json (there are {stored} of them, which "
            f"is no tower of {config.blocks} blocks of width {config.width}); give a folder as it was saved"
        )
    with torch.device("meta"):  # shapes alone, no memory
        network = TowerNetwork(config)
    checkpoint.check_shapes({name: tuple(weight.shape) for name, weight in network.state_dict().items()})


def load_tower(checkpoint: Checkpoint, place: Placement) -> Encoder:
    """Returns the encoder of a tower.

    Raises:
        ModelError: if config and weights do not describe one.
    """
    dtype = place.dtype_for(checkpoint.dtype())
    network = read_tower(checkpoint).eval().requires_grad_(False).to(place.device, dtype)
    config = network.config
    print_ = fingerprint(weights_digest(checkpoint.tensors()), checkpoint.facts())
    if config.modality == "image":
        return image_encoder(
            reference=checkpoint.reference,
            model=network,
            prepare=lambda image: pixels(image, config.side),
            states=lambda batch: network.states(batch.flatten(1))[0],
            name=lambda count: config.layer_names,
            prefix=0,
            has_class_token=False,
            fingerprint=print_,
            device=place.device,
            dtype=dtype,
        )
    return TextTower(
        reference=checkpoint.reference,
        modality="text",
        layers=tuple(Layer(name, config.width) for name in config.layer_names),
        parameters=sum(p.numel() for p in network.parameters()),
        fingerprint=print_,
        poolings=("mean", "last", "max"),
        device=place.device,
        dtype=dtype,
        model=network,
    )


def tower_files(network: TowerNetwork) -> dict[str, bytes]:
    """Returns the names and contents of the files that `path:` reads the tower from."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    config = json.dumps(network.config.to_dict(), indent=2) + "\n"
    return {"config.json": config.encode(), "model.safetensors": save(weights)}

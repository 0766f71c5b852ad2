"""Trainable: a Hugging Face model whose weights may change, and the folder that it is kept in afterwards."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from alignment.errors import ModelError
from alignment.models import own
from alignment.models.checkpoint import Checkpoint
from alignment.models.hub import Hub, HuggingFaceHub
from alignment.models.image import ImageEncoder
from alignment.models.load import load_encoder, resolve
from alignment.models.minilm_l6 import model_folder
from alignment.models.quiet import quiet
from alignment.models.text import TOKENIZER_FILES, TextEncoder
from alignment.models.vision import PROCESSOR_FILES
from alignment.references import ModelRef

_BUILTIN = ("minilm-l3", "minilm-l6")  # those that are of the Hugging Face kind; they share a tokenizer
_FRAME = ("bos", "cls", "sep", "eos", "pad")


@dataclass(frozen=True, eq=False)
class Trainable:
    """A model of texts or images, its parameters ready to require gradients.

    Attributes:
        encoder: the model as the rest of Accord sees it; it follows the weights as they change.
        model: the Hugging Face model itself.
        sidecars: the files beside its weights and config, as they were.
        frame: ids of the tokens that begin, end, separate or fill up texts; empty for images.
        stored: the dtype that its weights were kept in.
    """

    encoder: TextEncoder | ImageEncoder
    model: Any
    sidecars: Mapping[str, bytes]
    frame: Tensor
    stored: torch.dtype

    def prepare(self, items: Sequence[Any]) -> list[Tensor]:
        """Returns each item as the model takes it: token ids `[t]`, or pixels `[3, height, width]`.

        Raises:
            ModelError: if an item is not of the model's modality.
        """
        encoder = self.encoder
        if isinstance(encoder, TextEncoder):
            encoder.check(items, "mean", str)
            return [encoder.tokenizer(item).ids[0] for item in items]
        pixels = [encoder.prepare(item).to(encoder.dtype) for item in items]
        if len({picture.shape for picture in pixels}) > 1:
            raise ModelError(f"{encoder.reference} takes images of several sizes, which no batch can hold")
        return pixels

    def pooled(self, prepared: Sequence[Tensor]) -> Float[Tensor, "b width"]:
        """Returns the mean over each item's positions of the last layer, with a graph, in the model's own dtype."""
        if not isinstance(self.encoder, TextEncoder):
            states = self.encoder.states(torch.stack(list(prepared)))[-1]
            patches = states.flatten(2).transpose(1, 2) if states.ndim == 4 else states[:, self.encoder.prefix :]
            return patches.mean(1)
        mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(ids) for ids in prepared], batch_first=True)
        ids = torch.nn.utils.rnn.pad_sequence(list(prepared), batch_first=True)
        states = self.model(input_ids=ids, attention_mask=mask, return_dict=True).last_hidden_state
        real = mask[..., None].to(states.dtype)
        pooled: Tensor = (states * real).sum(1) / real.sum(1)
        return pooled

    def files(self) -> dict[str, bytes]:
        """Returns the folder that `path:` loads, as bytes by file name: config, safetensors, and the sidecars.

        A model that was kept in half precision is saved in float32: rounded again, it would not be what was measured.
        """
        dtype = torch.promote_types(self.stored, torch.float32)
        with tempfile.TemporaryDirectory() as place, quiet():
            state = self.model.state_dict()
            state = {n: v.to(dtype) if v.is_floating_point() else v for n, v in state.items()}
            self.model.save_pretrained(place, state_dict=state)
            config = Path(place, "config.json")
            said = {**json.loads(config.read_text()), "dtype": str(dtype).removeprefix("torch.")}
            config.write_text(json.dumps(said, indent=2, sort_keys=True) + "\n")
            made = {file.name: file.read_bytes() for file in sorted(Path(place).iterdir())}
        return {**self.sidecars, **made}


def open_trainable(
    ref: ModelRef, *, dtype: torch.dtype = torch.float32, cache: Path | None = None, hub: Hub | None = None
) -> Trainable:
    """Returns a Hugging Face model to train or to differentiate, on the CPU, in evaluation mode.

    Args:
        ref: `builtin:minilm-l3` or `builtin:minilm-l6`, a local folder, or a model of the hub.
        dtype: what it computes in.
        cache: see `load_encoder`.
        hub: likewise.

    Raises:
        ModelError: if it cannot be loaded, or is not of the Hugging Face kind.
    """
    folder = _folder(ref, cache, hub)
    place = ModelRef("path", str(folder)) if ref.scheme == "hf" else ref
    encoder = load_encoder(place, dtype=dtype, cache=cache)
    if not isinstance(encoder, (TextEncoder, ImageEncoder)) or not hasattr(encoder.model, "save_pretrained"):
        raise ModelError(f"{ref} is no Hugging Face model of texts or images, so it cannot be trained here")
    names = TOKENIZER_FILES if isinstance(encoder, TextEncoder) else PROCESSOR_FILES
    sidecars = {name: (folder / name).read_bytes() for name in names if (folder / name).is_file()}
    backend = encoder.tokenizer.backend if isinstance(encoder, TextEncoder) else None
    # Of all special tokens these alone: [UNK] and [MASK] stand for words, which two halves of a text must not share.
    special = {getattr(backend, f"{name}_token_id", None) for name in _FRAME} - {None}
    return Trainable(
        encoder=encoder,
        model=encoder.model.requires_grad_(True),
        sidecars=sidecars,
        frame=torch.tensor(sorted(special), dtype=torch.long),
        stored=Checkpoint.open(folder, str(ref)).dtype(),
    )


def is_own(ref: ModelRef) -> bool:
    """Returns whether a reference is a folder of a network that Accord trained, which is no Hugging Face model.

    Raises:
        ModelError: if the folder holds no model.
    """
    return ref.scheme == "path" and own.is_own(Checkpoint.open(Path(ref.name), str(ref)))


def _folder(ref: ModelRef, cache: Path | None, hub: Hub | None) -> Path:
    ways: dict[str, Callable[[], Path]] = {
        "path": lambda: Path(ref.name),
        "hf": lambda: _download(ref, hub or HuggingFaceHub(folder=cache / "hub" if cache else None)),
    }
    if ref.scheme == "builtin" and ref.name in _BUILTIN:
        return model_folder()
    if ref.scheme not in ways:
        raise ModelError(
            f"{ref} is no Hugging Face model; name builtin:{_BUILTIN[0]}, builtin:{_BUILTIN[1]}, path:DIR or hf:NAME"
        )
    return ways[ref.scheme]()


def _download(ref: ModelRef, hub: Hub) -> Path:
    found = resolve(ref, hub)
    return hub.download(found.name, str(found.revision))

"""Checkpoint: a folder with a model's config and its weights as safetensors."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from alignment.errors import ModelError

PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
# Keys of config.json that name the writer, not the model.
_VOLATILE = ("transformers_version", "_name_or_path", "torch_dtype", "dtype")
_FLOATS = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


@dataclass(frozen=True)
class Checkpoint:
    """A folder that is known to hold `config.json` and safetensors; nothing of it has been run.

    Attributes:
        folder: where it lies.
        reference: how messages name it.
        config: what `config.json` says.
        files: the files of weights.
    """

    folder: Path
    reference: str
    config: dict[str, Any]
    files: tuple[Path, ...]

    @classmethod
    def open(cls, folder: Path, reference: str) -> Checkpoint:
        """Returns the checkpoint in `folder`.

        Raises:
            ModelError: if there is no such folder, no readable config, or no weights as safetensors.
        """
        if not folder.is_dir():
            raise ModelError(f"{reference}: there is no such folder; give one that holds config.json and *.safetensors")
        config = _read_json(folder / "config.json", reference)
        index = folder / "model.safetensors.index.json"
        if index.is_file():
            names = set(_read_json(index, reference).get("weight_map", {}).values())
            files = tuple(folder / str(name) for name in sorted(names))
        else:
            files = (folder / "model.safetensors",)
        absent = [file.name for file in files if file.parent != folder or not file.is_file()]
        if absent and any(next(folder.glob(pattern), None) for pattern in PICKLES):
            raise ModelError(
                f"{reference} holds its weights only as pickles, which can run code when read; Accord reads "
                "model.safetensors: save it anew with save_pretrained(..., safe_serialization=True)"
            )
        if absent or not files:
            raise ModelError(f"{reference} lacks {', '.join(absent) or 'weights'}; Accord reads model.safetensors")
        return cls(folder, reference, config, files)

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Yields each stored tensor with its name, one at a time, in the stored dtype, on the CPU.

        Raises:
            ModelError: if a file is not safetensors.
        """
        for file in self.files:
            with _opened(file, self.reference) as handle:
                for name in handle.keys():  # noqa: SIM118 - a handle is no mapping
                    yield name, handle.get_tensor(name)

    def names(self) -> Iterator[str]:
        """Yields the name of each stored tensor; none is read.

        Raises:
            ModelError: if a file is not safetensors.
        """
        for file in self.files:
            with _opened(file, self.reference) as handle:
                yield from handle.keys()

    def check_shapes(self, wanted: Mapping[str, tuple[int, ...]]) -> None:
        """Refuses weights that are not of these names and shapes; none is read.

        Raises:
            ModelError: if they are not, or a file is not safetensors.
        """
        stored: dict[str, tuple[int, ...]] = {}
        for file in self.files:
            with _opened(file, self.reference) as handle:
                stored |= {name: tuple(handle.get_slice(name).get_shape()) for name in handle.keys()}  # noqa: SIM118
        odd = next((name for name in [*wanted, *stored] if wanted.get(name) != stored.get(name)), None)
        if odd is not None:
            says, holds = (str(list(where[odd])) if odd in where else "nothing" for where in (wanted, stored))
            raise ModelError(
                f"{self.reference}: its weights are not those of its config.json ({odd} is {holds}, by the config "
                f"{says}); give a folder as it was saved"
            )

    def dtype(self) -> torch.dtype:
        """Returns the floating dtype that most of the weights are stored in; float32 if none is floating."""
        sizes: Counter[torch.dtype] = Counter()
        for file in self.files:
            with _opened(file, self.reference) as handle:
                for name in handle.keys():  # noqa: SIM118 - a handle is no mapping
                    header = handle.get_slice(name)
                    if header.get_dtype() in _FLOATS:
                        sizes[_FLOATS[header.get_dtype()]] += math.prod(header.get_shape())
        return sizes.most_common(1)[0][0] if sizes else torch.float32

    def facts(self, *names: str) -> dict[str, Any]:
        """Returns what the fingerprint takes from this folder beside the weights: the config, and the files named.

        Args:
            names: files of preprocessing, of which those that exist are read.
        """
        facts: dict[str, Any] = {"config": {k: v for k, v in self.config.items() if k not in _VOLATILE}}
        for name in names:
            if (self.folder / name).is_file():
                facts[name] = hashlib.sha256((self.folder / name).read_bytes()).hexdigest()
        return facts


@contextmanager
def _opened(file: Path, reference: str) -> Iterator[Any]:
    try:
        with safe_open(file, framework="pt") as handle:
            yield handle
    except SafetensorError as error:
        raise ModelError(f"{reference}: {file.name} is not a whole safetensors file ({error})") from error


def _read_json(file: Path, reference: str) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(
            f"{reference} has no {file.name}; give a folder that a Hugging Face model was saved in"
        ) from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{reference}: {file.name} is not readable JSON ({error})") from error
    if not isinstance(value, dict):
        raise ModelError(f"{reference}: {file.name} holds a {type(value).__name__}, not a JSON object")
    return value

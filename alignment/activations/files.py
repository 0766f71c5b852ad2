"""Files of activations: `.npz` and `.safetensors`, one 2-D array `[items, width]` a layer.

The order of layers is the metadata key `layers` (a JSON list), else the natural order of the names. `ids` is an
optional 1-D array of integers or strings; safetensors holds no strings, so string ids stand in its metadata as JSON.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from alignment.activations.data import Activations, Origin
from alignment.errors import ActivationsError, WorkError

_SMALL, _DENSEST = 1 << 28, 100  # bytes, and how many of activations a byte of a packed file may hold beyond them
_SUFFIXES = ".npz or .safetensors"
_ADVICE = "write it anew with `accord extract` or numpy.savez"
_INTEGERS = (torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.uint16, torch.uint32, torch.uint64)
# What the two formats' readers raise on bytes that are not theirs: SyntaxError from a header, MemoryError from a shape.
BROKEN = (OSError, EOFError, KeyError, RuntimeError, MemoryError, SyntaxError)


def read_activations(path: str | Path) -> Activations:
    """Returns the activations in a file.

    Raises:
        ActivationsError: if it is missing, not such a file, or holds object arrays, NaN or Inf.
    """
    path = Path(path)
    readers = {".npz": _read_npz, ".safetensors": _read_safetensors}
    if path.suffix not in readers:
        raise ActivationsError(f"{path} is not a file of activations: its name must end in {_SUFFIXES}")
    if not path.is_file():
        raise ActivationsError(f"there is no file {path}; write one with `accord extract` or numpy.savez")
    arrays, order, ids = readers[path.suffix](path)
    names = layer_order(str(path), list(arrays), order)
    origin = Origin(f"features:{path}", _fingerprint([(name, arrays[name]) for name in names], ids))
    read = Activations(tuple(names), tuple(arrays[name] for name in names), ids, origin)
    for name, value in zip(read.layers, read.values, strict=True):
        bad = ~torch.isfinite(value).all(dim=1)
        if bad.any():
            row = int(bad.nonzero()[0])
            raise ActivationsError(
                f"{path}: layer {name!r} has NaN or Inf in row {row} (the first is 0); remove that item on both sides"
            )
    return read


def write_activations(activations: Activations, path: str | Path) -> None:
    """Writes `.npz` or `.safetensors`, whole or not at all.

    Raises:
        ActivationsError: if the name has another ending, or the format cannot hold the dtype.
        WorkError: if the file cannot be written (a full disk).
    """
    path = Path(path)
    check_writable(path)
    arrays = dict(zip(activations.layers, (v.cpu().contiguous() for v in activations.values), strict=True))
    if "ids" in arrays or "layers" in arrays:
        raise ActivationsError(f"{path}: a layer cannot be called 'ids' or 'layers', which the file uses itself")
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".accord-") as folder:
            draft = Path(folder, path.name)
            if path.suffix == ".npz":
                _write_npz(draft, arrays, activations)
            else:
                metadata = {"layers": json.dumps(activations.layers)}
                if activations.ids is not None:
                    metadata["ids"] = json.dumps(activations.ids)
                save_file(arrays, draft, metadata)
            draft.replace(path)
    except (OSError, SafetensorError) as error:
        raise WorkError(f"{path} could not be written ({error}); free some space or choose another folder") from error


def check_writable(path: Path) -> None:
    """Checks the name and folder of a file to write, before any work.

    Raises:
        ActivationsError: if the ending is not one of a file of activations, or its folder cannot be written to.
    """
    if path.suffix not in (".npz", ".safetensors"):
        raise ActivationsError(f"cannot write {path}: its name must end in {_SUFFIXES}")
    if path.is_dir():
        raise ActivationsError(f"cannot write {path}: it is a folder; name a file")
    if not path.parent.is_dir():
        raise ActivationsError(f"cannot write {path}: there is no folder {path.parent}")
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".accord-"):
            pass
    except OSError as error:
        raise ActivationsError(f"cannot write {path} ({error.strerror}); choose another folder") from error


def _write_npz(path: Path, arrays: dict[str, Tensor], activations: Activations) -> None:
    if any(value.dtype == torch.bfloat16 for value in arrays.values()):
        raise ActivationsError(f"{path}: .npz holds no bfloat16; write .safetensors")
    members: dict[str, Any] = {name: value.numpy() for name, value in arrays.items()}
    members["layers"] = np.array(json.dumps(activations.layers))
    if activations.ids is not None:
        members["ids"] = np.array(activations.ids)
    with path.open("wb") as file:  # np.savez would add to a name; a handle is taken as it is
        np.savez(file, allow_pickle=False, **members)


def _read_npz(path: Path) -> tuple[dict[str, Tensor], list[str] | None, tuple[str, ...] | None]:
    arrays: dict[str, Tensor] = {}
    order: list[str] | None = None
    ids: tuple[str, ...] | None = None
    for name, value in _members(path).items():
        if name == "layers" and value.dtype.kind == "U":
            order = json_names(str(path), "layers", value.item()) if value.ndim == 0 else value.tolist()
        elif name == "ids":
            ids = _ids(path, value.tolist(), usable=value.ndim == 1 and value.dtype.kind in "iuU")
        elif value.dtype.kind != "f" or value.dtype.itemsize > 8:
            raise ActivationsError(
                f"{path}: {name!r} holds {value.dtype}; write float16, float32 or float64, one array a layer"
            )
        else:
            arrays[name] = torch.from_numpy(np.asarray(value, dtype=value.dtype.newbyteorder("="), order="C"))
    return arrays, order, ids


def check_packing(path: Path, name: str) -> None:
    """Checks that a `.npz` file is a zip, whole, and no bomb.

    Args:
        path: the file.
        name: what errors call it.

    Raises:
        ActivationsError: if it is not.
        zipfile.BadZipFile: if it is no zip that can be read.
    """
    if not zipfile.is_zipfile(path):  # numpy.load would take it for a pickle or a single array
        raise ActivationsError(f"{name} is not a .npz file, or only the beginning of one; {_ADVICE}")
    with zipfile.ZipFile(path) as archive:
        inside = archive.infolist()
    unpacked = sum(member.file_size for member in inside)
    rare = any(member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for member in inside)
    if rare or unpacked > max(_SMALL, _DENSEST * path.stat().st_size):
        raise ActivationsError(f"{name} unpacks to {unpacked:,} bytes, which numpy.savez would not have; {_ADVICE}")


def _members(path: Path) -> dict[str, np.ndarray]:
    """Returns the arrays of a .npz file by name."""
    try:
        check_packing(path, str(path))
        # A handle of ours: numpy leaves its own open where the zip is broken.
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as file:
            members = {name: file[name] for name in file.files}
    except ValueError as error:
        if "allow_pickle" in str(error):
            raise ActivationsError(
                f"{path} holds object arrays or pickles, which are never loaded; save plain float arrays"
            ) from error
        raise ActivationsError(f"{path} is not a readable .npz file ({error}); {_ADVICE}") from error
    except (*BROKEN, zipfile.BadZipFile, zlib.error) as error:
        raise ActivationsError(f"{path} is not a readable .npz file ({error}); {_ADVICE}") from error
    for name, value in members.items():
        if not isinstance(value, np.ndarray):  # a member that is no .npy comes back as bytes
            raise ActivationsError(f"{path} is a zip file with {name!r} in it, which is no array; {_ADVICE}")
    return members


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], list[str] | None, tuple[str, ...] | None]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, *BROKEN) as error:
        raise ActivationsError(
            f"{path} is not a readable .safetensors file ({error}); write it anew with `accord extract`"
        ) from error
    order = json_names(str(path), "layers", metadata["layers"]) if "layers" in metadata else None
    ids = tuple(json_names(str(path), "ids", metadata["ids"])) if "ids" in metadata else None
    rows = arrays.pop("ids", None)
    if rows is not None:
        ids = _ids(path, rows.tolist(), usable=rows.ndim == 1 and rows.dtype in _INTEGERS)
    return arrays, order, ids


def _ids(path: Path, rows: list[Any], *, usable: bool) -> tuple[str, ...]:
    if not usable:
        raise ActivationsError(f"{path}: 'ids' must be one list of whole numbers or texts, one a row")
    return tuple(str(row) for row in rows)


def json_names(name: str, key: str, text: str) -> list[str]:
    """Returns the names in a JSON list, which stands in the file `name` under `key`.

    Raises:
        ActivationsError: if it is none.
    """
    try:
        names = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ActivationsError(f"{name}: the metadata key {key!r} is not JSON ({error})") from error
    if not isinstance(names, list):
        raise ActivationsError(f"{name}: the metadata key {key!r} must be a JSON list of names")
    return [str(name) for name in names]


def layer_order(name: str, names: list[str], order: list[str] | None) -> list[str]:
    """Returns the layers `names` of the file `name` in its own order, or in the natural one.

    Raises:
        ActivationsError: if its own order is of other layers.
    """
    if order is None:
        return sorted(names, key=natural)
    if sorted(order) != sorted(names):
        raise ActivationsError(
            f"{name}: the key 'layers' names {order}, but the arrays are {sorted(names, key=natural)}"
        )
    return order


def natural(name: str) -> list[tuple[bool, int, str, str]]:
    """Returns a sort key that puts "layer.2" before "layer.10".

    >>> sorted(["layer.10", "layer.2", "embeddings"], key=natural)
    ['embeddings', 'layer.2', 'layer.10']
    """
    parts = re.split(r"(\d+)", name)
    # a longer number is a larger one, which needs no int of it: a name may hold thousands of digits
    return [
        (not p.isdecimal(), len(p.lstrip("0")), p.lstrip("0"), p) if p.isdecimal() else (True, 0, p, p) for p in parts
    ]


def _fingerprint(arrays: list[tuple[str, Tensor]], ids: tuple[str, ...] | None) -> str:
    digest = hashlib.sha256(b"accord-features-1")
    digest.update(json.dumps(ids).encode())
    for name, value in arrays:
        digest.update(json.dumps([name, str(value.dtype), list(value.shape)]).encode())
        digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()

"""Header: what a file of activations holds, told from its beginnings and without its numbers."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from alignment.activations.files import BROKEN, check_packing, json_names, layer_order
from alignment.errors import ActivationsError

_FLOATS = ("F16", "BF16", "F32", "F64")
_MOST_NAMES = 1 << 20  # bytes of an array that only names layers
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


@dataclass(frozen=True)
class Header:
    """What a file of activations says that it holds.

    Attributes:
        layers: each layer's name and width, from input to output.
        items: how many rows each has.
    """

    layers: tuple[tuple[str, int], ...]
    items: int


def read_header(path: Path, name: str) -> Header:
    """Returns what a file of activations holds; its numbers, and its `ids`, are not looked at.

    Args:
        path: the file.
        name: what errors call it.

    Raises:
        ActivationsError: if it is not such a file, or holds pickles or arrays that are no layers.
    """
    readers = {".npz": _npz, ".safetensors": _safetensors}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise ActivationsError(f"{name} is not a file of activations: its name must end in .npz or .safetensors")
    try:
        shapes, order = reader(path, name)
    except (SafetensorError, zipfile.BadZipFile, zlib.error, ValueError, *BROKEN) as error:
        raise ActivationsError(f"{name} is not a readable {path.suffix} file ({error}); write it anew") from error
    if not shapes:
        raise ActivationsError(f"{name} holds no layer; write one 2-D array [items, width] a layer")
    for layer, shape in shapes.items():
        if len(shape) != 2 or 0 in shape:
            raise ActivationsError(f"{name}: layer {layer!r} has shape {list(shape)}; it must be [items, width]")
        if not layer.isprintable() or not layer.strip():
            raise ActivationsError(f"{name}: the layer name {layer!r} cannot be printed; give it another")
    rows = sorted({shape[0] for shape in shapes.values()})
    if len(rows) > 1:
        raise ActivationsError(f"{name}: layers have {rows} rows; each must have one row an item")
    return Header(tuple((layer, shapes[layer][1]) for layer in layer_order(name, list(shapes), order)), rows[0])


_Read = tuple[Mapping[str, tuple[int, ...]], list[str] | None]


def _safetensors(path: Path, name: str) -> _Read:
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata() or {}
        slices = {key: file.get_slice(key) for key in file.keys() if key != "ids"}  # noqa: SIM118 - not a mapping
        for layer, found in slices.items():
            if found.get_dtype() not in _FLOATS:
                raise ActivationsError(
                    f"{name}: layer {layer!r} holds {found.get_dtype()}; write float16, bfloat16, float32 or float64"
                )
        shapes = {layer: tuple(found.get_shape()) for layer, found in slices.items()}
    return shapes, json_names(name, "layers", metadata["layers"]) if "layers" in metadata else None


def _npz(path: Path, name: str) -> _Read:
    shapes: dict[str, tuple[int, ...]] = {}
    order: list[str] | None = None
    check_packing(path, name)
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            layer = member.filename.removesuffix(".npy")
            if layer == member.filename:
                raise ActivationsError(f"{name} is a zip file with {layer!r} in it, which is no array; write it anew")
            with archive.open(member) as file:
                shape, dtype = _array_header(file, name, layer)
                if layer == "layers" and dtype.kind == "U":
                    order = _order(file, shape, dtype, name)
                elif layer != "ids":
                    if dtype.kind != "f" or dtype.itemsize > 8:
                        raise ActivationsError(
                            f"{name}: {layer!r} holds {dtype}; write float16, float32 or float64, one array a layer"
                        )
                    shapes[layer] = shape
    return shapes, order


def _array_header(file: Any, name: str, layer: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ActivationsError(f"{name}: {layer!r} is written in a rare way; write it anew with numpy.savez")
    shape, _, dtype = _HEADERS[version](file)
    if dtype.hasobject:
        raise ActivationsError(
            f"{name} holds object arrays or pickles, which are never loaded; save plain float arrays"
        )
    return shape, dtype


def _order(file: Any, shape: tuple[int, ...], dtype: np.dtype[Any], name: str) -> list[str]:
    size = dtype.itemsize * int(np.prod(shape, dtype=object))
    if size > _MOST_NAMES or len(shape) > 1:
        raise ActivationsError(f"{name}: 'layers' must be one JSON list, or a short list of names")
    names = np.frombuffer(file.read(size), dtype).reshape(shape)
    return json_names(name, "layers", str(names.item())) if names.ndim == 0 else [str(layer) for layer in names]

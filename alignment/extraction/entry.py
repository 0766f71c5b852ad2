"""Entry: some activations on disk: files that each hold some rows of one layer, and a manifest that vouches for them.

The manifest is written last. It has the size and sha256 of every file, and its own: what was cut short, has a flipped
bit or a missing file is never taken for activations.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors.torch as safetensors
import torch
from safetensors import SafetensorError
from torch import Tensor

from alignment.activations import Activations, Layers, Origin, select_layers
from alignment.extraction.key import Key
from alignment.models import Layer, Pooling

MANIFEST = "manifest.json"
_FORMAT = 1
_ARRAY = "rows"


class DamagedError(Exception):
    """An entry that is not as it was written; its message says how. The store reads it as absent."""


@dataclass(frozen=True)
class Facts:
    """What is known of activations beside their numbers.

    Attributes:
        model_layers: every layer of the model, kept or not.
        dtype: what the model computed in (`float32`).
        device: where it ran (`cuda:0`).
        poolings: how the model's positions may be pooled; empty where that was not written down.
    """

    model_layers: tuple[Layer, ...]
    dtype: str
    device: str
    poolings: tuple[Pooling, ...] = ()


@dataclass(frozen=True)
class Entry:
    """An entry whose manifest was found whole and whose files have their sizes.

    Attributes:
        folder: where it lies.
        manifest: what the manifest says.
    """

    folder: Path
    manifest: Mapping[str, Any]

    @classmethod
    def open(cls, folder: Path) -> Entry | None:
        """Returns the entry in a folder; None if there is none.

        Raises:
            DamagedError: if it is not whole, as far as sizes tell.
        """
        try:
            text = (folder / MANIFEST).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            if folder.is_dir():
                raise DamagedError("it has no manifest") from None
            return None
        try:
            written = json.loads(text)
            manifest = written["manifest"]
            if written["sha256"] != _digest(manifest) or manifest["format"] != _FORMAT:
                raise DamagedError("its manifest is not as it was written")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise DamagedError("its manifest is not readable") from error
        for layer in manifest["layers"]:
            for shard in layer["shards"]:
                size = _size(folder / shard["file"])
                if size != shard["bytes"]:
                    said = "is missing" if size is None else f"has {size} bytes instead of {shard['bytes']}"
                    raise DamagedError(f"{shard['file']} {said}")
        return cls(folder, manifest)

    @property
    def facts(self) -> Facts:
        """What is known of it beside the numbers."""
        layers = tuple(Layer(row["name"], row["width"]) for row in self.manifest["model_layers"])
        poolings = tuple(self.manifest.get("poolings", ()))
        return Facts(layers, self.manifest["dtype"], self.manifest["device"], poolings)

    @property
    def origin(self) -> Origin:
        """What made it."""
        return Origin(**self.manifest["origin"])

    def load(self, layers: Layers = "all") -> Activations:
        """Returns the activations of the layers wanted; others are not read.

        Raises:
            DamagedError: if a file is not as it was written.
            RequestError: if there is no such layer.
        """
        rows, ids = self.manifest["layers"], self.manifest["ids"]
        wanted = [rows[number] for number in select_layers([row["name"] for row in rows], layers)]
        values = tuple(self._layer(row) for row in wanted)
        return Activations(
            tuple(row["name"] for row in wanted), values, None if ids is None else tuple(ids), self.origin
        )

    def _layer(self, layer: Mapping[str, Any]) -> Tensor:
        items, width, dtype = self.manifest["items"], layer["width"], getattr(torch, layer["dtype"])
        value = torch.empty(items, width, dtype=dtype)
        at = 0
        for shard in layer["shards"]:
            rows = _read_shard(self.folder / shard["file"], shard["sha256"])
            if rows.dtype != dtype or rows.shape != (shard["items"], width) or at + len(rows) > items:
                raise DamagedError(f"{shard['file']} holds other rows than its manifest says")
            value[at : at + len(rows)] = rows
            at += len(rows)
        if at != items:
            raise DamagedError(f"layer {layer['name']!r} has {at} rows instead of {items}")
        return value


def write_entry(folder: Path, key: Key, activations: Activations, facts: Facts, shard_bytes: int) -> None:
    """Writes an entry into an empty folder of the caller's own, a layer at a time, and has the disk keep it.

    Args:
        folder: where.
        key: what it is.
        activations: what it holds.
        facts: what else is known of it.
        shard_bytes: how large a file may become; about twice as much memory is taken beside the activations.

    Raises:
        OSError: if it cannot be written.
    """
    layers = []
    for number, (name, value) in enumerate(zip(activations.layers, activations.values, strict=True)):
        step = max(1, shard_bytes // (value.shape[1] * value.element_size()))
        shards = []
        for place, start in enumerate(range(0, len(value), step)):
            part = value[start : start + step].cpu().contiguous()
            data = safetensors.save({_ARRAY: part})
            file = f"{number:03d}-{place:04d}.safetensors"
            write_file(folder / file, data)
            shards.append(
                {"file": file, "items": len(part), "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            )
        kind = str(value.dtype).removeprefix("torch.")
        layers.append({"name": name, "width": value.shape[1], "dtype": kind, "shards": shards})
    manifest = {
        "format": _FORMAT,
        "made": uuid.uuid4().hex,  # tells one writing from another
        "key": asdict(key),
        "origin": asdict(activations.origin),
        **asdict(facts),
        "items": len(activations),
        "ids": None if activations.ids is None else list(activations.ids),
        "layers": layers,
    }
    sync_folder(folder)
    # Through JSON once, so that what is hashed is what a reader will have.
    manifest = json.loads(json.dumps(manifest))
    write_file(folder / MANIFEST, json.dumps({"sha256": _digest(manifest), "manifest": manifest}).encode())
    sync_folder(folder)


def write_file(path: Path, data: bytes) -> None:
    """Writes a new file, and returns when the disk has it.

    Raises:
        OSError: if it cannot be written.
    """
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Returns when the disk has the names in a folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network disks sync no folders
            raise
    finally:
        os.close(handle)


def _read_shard(file: Path, sha256: str) -> Tensor:
    try:
        data = file.read_bytes()
    except FileNotFoundError as error:
        raise DamagedError(f"{file.name} is missing") from error
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        raise DamagedError(f"{file.name} cannot be read from the disk") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise DamagedError(f"{file.name} is not as it was written")
    try:
        return safetensors.load(data)[_ARRAY]
    except (SafetensorError, KeyError) as error:
        raise DamagedError(f"{file.name} holds no rows") from error


def _size(file: Path) -> int | None:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return None


def _digest(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()

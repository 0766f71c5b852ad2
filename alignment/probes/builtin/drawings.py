"""Drawings: pictures that were drawn once are kept in a folder, by what they were drawn from."""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)


def drawn(folder: Path | None, origin: bytes, draw: Callable[[], Mapping[str, bytes]]) -> Mapping[str, bytes]:
    """Returns what `draw` returns, from the folder if it was kept there.

    Args:
        folder: where drawings are kept; None draws anew.
        origin: all that decides what is drawn.
        draw: draws; returns encoded pictures by name, in order.
    """
    if folder is None:
        return draw()
    file = folder / f"{hashlib.sha256(origin).hexdigest()}.zip"
    found = _read(file)
    if found is None:
        found = draw()
        _keep(file, found)
    return found


def _read(file: Path) -> Mapping[str, bytes] | None:
    """Returns what is kept; None if that is nothing, or broken: each picture is held against its checksum."""
    try:
        with zipfile.ZipFile(file) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    except (OSError, *_BROKEN):
        return None


def _keep(file: Path, pictures: Mapping[str, bytes]) -> None:
    """Keeps pictures, all or none; two at once keep the same. Where there is no room they are drawn again next time."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=file.parent, suffix=".draft")
    except OSError:
        return
    try:
        with os.fdopen(handle, "wb") as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
            for name, data in pictures.items():
                archive.writestr(zipfile.ZipInfo(name), data)
        Path(draft).replace(file)
    except OSError:
        Path(draft).unlink(missing_ok=True)

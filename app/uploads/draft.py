"""Draft: a file on its way in. It appears whole, under its own name, or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath

from app.problems import Problem, invalid
from app.settings import Settings
from app.uploads.files import uploads_folder

SUFFIXES = (".jsonl", ".csv", ".parquet", ".zip", ".txt", ".npz", ".safetensors")
_TEXTS = (".jsonl", ".csv", ".txt")
_LONGEST = 120
_MIB = 1 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Draft:
    """A file that is being received.

    Attributes:
        id: the upload's.
        filename: the file's, fit to be one.
        size: bytes received so far.
    """

    def __init__(self, settings: Settings, upload_id: str, filename: str, reserve: Callable[[Draft], int]) -> None:
        """Names a file; nothing is written before `begin`.

        Args:
            settings: what the operator set.
            upload_id: the upload's id.
            filename: as `safe_name` gives it.
            reserve: given a draft that has more bytes than it may keep, returns how many it may keep from now on.
        """
        self.id, self.filename, self.size = upload_id, filename, 0
        self._reserve, self._room = reserve, 0
        self._folder = uploads_folder(settings)
        self._draft = self._folder / f".{upload_id}"  # no upload's id begins so
        self._hash, self._head = hashlib.sha256(), b""

    def begin(self) -> None:
        """Takes its first room, of the team's and then on the disk; whatever comes of that is its owner's to give back.

        Raises:
            Problem: 413 if the team has no room for any file; 503 if the disk is full.
        """
        self._room = self._reserve(self)
        try:
            self._draft.mkdir(parents=True)
            self._file = (self._draft / self.filename).open("xb", buffering=0)
        except OSError as error:
            raise _of(error) from error

    @property
    def path(self) -> Path:
        """Where the file is once it is whole."""
        return self._folder / self.id / self.filename

    @property
    def sha256(self) -> str:
        """Of what was received so far."""
        return self._hash.hexdigest()

    def write(self, data: bytes) -> None:
        """Takes the next bytes.

        Raises:
            Problem: 413 if the team may not keep so many; 422 if the file is not what its name says; 503 if the disk is
                full.
        """
        self.size += len(data)
        if self.size > self._room:
            self._room = self._reserve(self)
        if len(self._head) < 16:
            self._head = (self._head + data)[:4096]
            if len(self._head) >= 16:
                self._check_head()
        self._hash.update(data)
        try:
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            raise _of(error) from error

    def finish(self) -> None:
        """Makes it an upload's file; it outlives the machine's fall from here on.

        Raises:
            Problem: 422 if it is empty or not what its name says; 503 if the disk is full.
        """
        if not self.size:
            raise invalid("/file", f"{self.filename!r} is empty; send a file with something in it")
        self._check_head()
        try:
            os.fsync(self._file.fileno())
            self._file.close()
            _sync(self._draft)
            self._draft.rename(self.path.parent)
            _sync(self._folder)
        except OSError as error:
            raise _of(error) from error

    def discard(self) -> None:
        """Takes it away, whole or not."""
        with suppress(OSError, AttributeError):  # it was never opened
            self._file.close()
        for folder in (self._draft, self.path.parent):
            shutil.rmtree(folder, ignore_errors=True)

    def _check_head(self) -> None:
        suffix, head = PurePosixPath(self.filename).suffix, self._head
        right = {
            ".parquet": head.startswith(b"PAR1"),
            ".zip": head.startswith(b"PK"),
            ".npz": head.startswith(b"PK"),
            ".safetensors": head[8:9] == b"{",  # after the header's length, its JSON
            **{text: b"\0" not in head for text in _TEXTS},
        }
        if not right[suffix]:
            raise invalid("/file", f"{self.filename!r} is not a {suffix} file, whatever its name says; send another")


def safe_name(given: str) -> str:
    """Returns a file's name as it is kept: no path, no strange letters, its suffix in small letters.

    Raises:
        Problem: 422 if its suffix is not one that is read.

    >>> safe_name("../Photos of cats.ZIP")
    'Photos_of_cats.zip'
    """
    base = unicodedata.normalize("NFC", given).replace("\\", "/").rpartition("/")[2]
    stem, dot, ending = base.rpartition(".")
    suffix = dot + ending.lower()
    if suffix not in SUFFIXES or not dot:
        shown = base[:_LONGEST] if base.isprintable() else ascii(base[:_LONGEST])
        raise invalid("/file", f"{shown!r} is of no known kind; send one that ends in {', '.join(SUFFIXES)}")
    stem = re.sub(r"[^A-Za-z0-9._+@()-]+", "_", stem).strip("._")[: _LONGEST - len(suffix)]
    return (stem or "file") + suffix


def over_quota(limit_mib: int) -> Problem:
    """Returns the answer to what the team has no room for."""
    return Problem(
        413,
        f"the team may keep {limit_mib} MiB of uploads and of trained models, and this would be more; delete some with "
        "DELETE /v1/uploads/ID",
    )


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _of(error: OSError) -> Exception:
    if error.errno in _FULL:
        return Problem(503, "the server's disk is full; try again later", headers={"Retry-After": "60"})
    return error

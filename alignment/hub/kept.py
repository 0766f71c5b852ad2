"""Kept: which data sets of the hub a folder holds, and how it stays within a size."""

from __future__ import annotations

import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from alignment.errors import ProbeError

SPARE = 3600.0  # seconds: who found a data set here may read of it for a while yet
_COMMIT, _FILES = re.compile(r"[0-9a-f]{40}"), re.compile(r"[0-9a-f]{64}")
_GONE, _DRAFT, _INCOMPLETE = ".gone-", ".draft-", ".incomplete"


@dataclass(frozen=True)
class Swept:
    """What a sweep did.

    Attributes:
        datasets: how many data sets went, each at one commit.
        freed: their bytes.
        leftovers: how many files and folders of downloads went that nobody will end.
        kept: bytes of those that stay.
    """

    datasets: int
    freed: int
    leftovers: int
    kept: int


def place_of(folder: Path, name: str) -> Path:
    """Returns where a data set's commits are kept in a folder."""
    return folder / f"datasets--{name.replace('/', '--')}"


@contextmanager
def nothing_new_if_refused(folder: Path, name: str) -> Iterator[None]:
    """Has a data set that is refused leave nothing behind that was not there before.

    What came of one whose hub fell silent stays for the next try.
    """
    place = place_of(folder, name)
    before = set(_commits(place))
    try:
        yield
    except (MemoryError, ProbeError):
        for commit in set(_commits(place)) - before:
            _drop(folder, commit)
        raise


def sweep(folder: Path, max_bytes: int, *, spare: float = SPARE) -> Swept:
    """Takes data sets away, the least recently used first, until the others fit; several sweeps at once do no harm.

    One that is asked for again is downloaded again, at its commit.

    Args:
        folder: where `HuggingFaceDatasets` keeps them.
        max_bytes: how much may stay.
        spare: seconds for which one stays after each use, and a download after each change, whatever the size.
    """
    leftovers = 0
    for gone in folder.glob(f"{_GONE}*"):  # of a sweep that was killed
        shutil.rmtree(gone, ignore_errors=True)
        leftovers += 1
    found = []
    for place in folder.glob("datasets--*"):
        leftovers += _clear(folder, place, time.time() - spare)
        found += [(*_used_and_bytes(commit), commit) for commit in _commits(place)]
    kept, datasets, freed = sum(size for _, size, _ in found), 0, 0
    for used, size, commit in sorted(found):
        if kept <= max_bytes or time.time() - used < spare:
            break
        if _used_and_bytes(commit)[0] != used:  # it was read meanwhile
            continue
        _drop(folder, commit)
        datasets, freed, kept = datasets + 1, freed + size, kept - size
    return Swept(datasets, freed, leftovers, kept)


def bytes_of(path: Path) -> int:
    """Returns the bytes of a folder's files; 0 if there is none."""
    return _used_and_bytes(path)[1]


def _commits(place: Path) -> list[Path]:
    return [path for path in place.glob("*") if _COMMIT.fullmatch(path.name)]


def _drop(folder: Path, path: Path) -> None:
    """Takes a folder away, all at once for whoever looks."""
    gone = folder / f"{_GONE}{uuid.uuid4().hex}"
    with suppress(FileNotFoundError):  # another sweep was faster
        path.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def _clear(folder: Path, place: Path, since: float) -> int:
    """Takes away what nobody has changed since then and nobody can use; returns how much that was."""
    commits, dead = _commits(place), []
    for commit in commits:
        dead += [path for path in commit.glob("*") if _FILES.fullmatch(path.name) and not _is_whole(path)]
        dead += commit.rglob(f"*{_INCOMPLETE}")
    dead += place.glob(f"*/{_DRAFT}*")
    if not commits:  # of which a branch's name told where to look while the hub is away
        dead += place.glob("refs")
    old = [path for path in dead if 0 < _used_and_bytes(path)[0] < since]
    for path in old:
        _drop(folder, path) if path.is_dir() else path.unlink(missing_ok=True)
    if not commits:
        with suppress(OSError):  # something is in it again
            place.rmdir()
    return len(old)


def _is_whole(files: Path) -> bool:
    return files.with_name(f"{files.name}.json").exists()


def _used_and_bytes(path: Path) -> tuple[float, int]:
    """Returns when a file, or anything in a folder, was last written or used, and its bytes; zeros if it is gone."""
    used, size = 0.0, 0
    inside = (Path(at, name) for at, _, names in os.walk(path) for name in names)
    for one in (path, *inside):
        with suppress(FileNotFoundError):
            seen = one.stat()
            used, size = max(used, seen.st_mtime), size + (seen.st_size if one != path or path.is_file() else 0)
    return used, size

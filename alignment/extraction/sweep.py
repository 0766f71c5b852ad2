"""sweep(): keeps the store within its size: the least recently used goes first, and what dead writers left with it."""

from __future__ import annotations

import contextlib
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from alignment.extraction.entry import MANIFEST
from alignment.extraction.store import ActivationStore

GRACE = 3600.0  # seconds: a comparison reads its first side only when its second is there, too
_NOTES = 30 * 24 * 3600.0  # seconds without a use after which a hash or a draw goes, which is soon made anew
STALE = 6 * 3600.0  # seconds without a change after which a draft's writer counts as dead


@dataclass(frozen=True)
class Swept:
    """What a sweep did.

    Attributes:
        entries: how many entries went.
        freed: their bytes.
        leftovers: how many drafts of dead writers went.
        kept: bytes of the entries that stay.
    """

    entries: int
    freed: int
    leftovers: int
    kept: int


def sweep(store: ActivationStore, max_bytes: int, *, grace: float = GRACE, stale: float = STALE) -> Swept:
    """Takes entries away, the least recently used first, until the others fit; several sweeps at once do no harm.

    Args:
        store: the store.
        max_bytes: how much may stay.
        grace: seconds for which an entry stays after each use, whatever the size.
        stale: seconds without a change after which what is being written counts as left behind.
    """
    leftovers = 0
    for draft in _children(store.drafts):
        if time.time() - max(map(_changed, (draft, *_children(draft)))) > stale:
            shutil.rmtree(draft, ignore_errors=True)
            leftovers += 1
    for note in (*_children(store.digests), *_children(store.draws.folder)):
        if time.time() - _changed(note) > _NOTES:
            note.unlink(missing_ok=True)
    found = []
    for shelf in _children(store.entries):
        for folder in _children(shelf):
            found.append((_used(folder), _bytes(folder), folder))
    kept, entries, freed = sum(size for _, size, _ in found), 0, 0
    for used, size, folder in sorted(found):
        if kept <= max_bytes or time.time() - used < grace:
            break
        if _used(folder) != used:  # it was read meanwhile
            continue
        store.remove(folder)
        entries, freed, kept = entries + 1, freed + size, kept - size
    return Swept(entries, freed, leftovers, kept)


def _used(folder: Path) -> float:
    manifest = folder / MANIFEST
    return _changed(manifest if manifest.exists() else folder)


def _bytes(folder: Path) -> int:
    total = 0
    for file in _children(folder):
        with contextlib.suppress(FileNotFoundError):
            total += file.stat().st_size
    return total


def _changed(path: Path) -> float:
    """Returns when a file or folder was last changed; 0 if it is gone."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _children(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []

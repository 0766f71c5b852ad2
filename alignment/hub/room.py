"""room(): a download has its place in a folder of data sets before it begins, however many begin at once."""

from __future__ import annotations

import fcntl
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from alignment.errors import CacheFullError, ProbeError
from alignment.hub.kept import bytes_of, sweep

_TURN, _COMING = ".turn", ".coming-"
_MIB = 1 << 20


@contextmanager
def room(folder: Path, place: Path, needed: int, most: int | None) -> Iterator[None]:
    """Takes room for a download while the context lasts; what was used least recently goes for it.

    Room is a file that its process keeps locked: of one that was killed it is free in that moment.

    Args:
        folder: where data sets are kept.
        place: the folder beneath it that the download fills.
        needed: bytes that it will have when it is whole.
        most: bytes that the folder may have; None sets no limit.

    Raises:
        ProbeError: if it is larger than all that may be kept.
        CacheFullError: if what is there was used within the hour, or is coming.
    """
    if most is None:
        yield
        return
    if needed > most:
        raise ProbeError(
            f"the data set has {needed / _MIB:.1f} MiB and no more than {most / _MIB:g} are kept; take a smaller split"
        )
    mine = folder / f"{_COMING}{uuid.uuid4().hex}"
    held = _take(folder, mine, place, needed, most)
    try:
        yield
    finally:
        mine.unlink(missing_ok=True)
        held.close()


def _take(folder: Path, mine: Path, place: Path, needed: int, most: int) -> IO[str]:
    """Returns the locked file that says what is coming."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _TURN).open("a") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # one at a time looks at what is left, and takes it
        left = most - needed - _coming(folder) + bytes_of(place)
        if sweep(folder, left).kept > left:
            raise CacheFullError(
                f"the {most / _MIB:g} MiB that data sets of the hub may take are in use: there is room when some "
                "have not been used for an hour, or where ACCORD_DATASETS_MIB is more"
            )
        held = mine.open("x")
        fcntl.flock(held, fcntl.LOCK_EX)
        held.write(json.dumps({"bytes": needed, "place": str(place.relative_to(folder))}))
        held.flush()
        return held


def _coming(folder: Path) -> int:
    """Returns how many bytes other downloads will yet bring; lets go of what those left that were killed."""
    total = 0
    for path in folder.glob(f"{_COMING}*"):
        with suppress(FileNotFoundError), path.open() as other:  # it has ended
            try:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                told = json.loads(other.read())
                total += max(0, told["bytes"] - bytes_of(folder / told["place"]))
                continue
            path.unlink(missing_ok=True)
    return total

"""Words for tests that watch other processes."""

import time
from collections.abc import Callable
from pathlib import Path

LOOKS = 3600  # three minutes: how long a busy machine may take for anything


def eventually(happened: Callable[[], object], looks: int = LOOKS, pause: float = 0.05) -> None:
    """Returns once something is so; fails if it is not after so many looks."""
    for _ in range(looks):
        if happened():
            return
        time.sleep(pause)
    raise AssertionError(f"not so after {looks} looks")


def never(happened: Callable[[], object], looks: int = 30, pause: float = 0.05) -> None:
    """Fails if something is so at one of so many looks."""
    for _ in range(looks):
        assert not happened()
        time.sleep(pause)


def is_running(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"

"""Streams: how many streams of events a key has open, counted in this process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from app.problems import Problem

_WAIT = "5"  # seconds after which one may have ended


class Streams:
    """The streams that are open. Each looks at its job's row again and again, for as long as the job lasts."""

    def __init__(self, most: int) -> None:
        """Takes how many streams a key may have open at once."""
        self._most = most
        self._open: Counter[str] = Counter()

    @contextmanager
    def one(self, key: str) -> Iterator[None]:
        """Counts a stream for as long as it is open.

        Raises:
            Problem: 429 if the key has as many as it may.
        """
        if self._open[key] >= self._most:
            raise Problem(
                429,
                f"this key follows {self._most} jobs already; end a stream, or look at the job with GET now and then",
                headers={"Retry-After": _WAIT},
            )
        self._open[key] += 1
        try:
            yield
        finally:
            self._open[key] -= 1
            self._open += Counter()  # forgets those at 0

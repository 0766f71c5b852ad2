"""Rate: how often a key may ask, counted in this process."""

from __future__ import annotations

import math
import time

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from alignment.errors import RequestError
from app.problems import Problem


class RateLimiter:
    """A moving window a key."""

    def __init__(self, limit: str) -> None:
        """Takes a limit as `COUNT/PERIOD`.

        Raises:
            RequestError: if it is none.
        """
        try:
            self._limit = parse(limit)
        except ValueError:
            raise RequestError(f"ACCORD_RATE_LIMIT is {limit!r}; write it as COUNT/PERIOD: 6000/minute") from None
        self._window = MovingWindowRateLimiter(MemoryStorage())

    def spend(self, key: str) -> None:
        """Counts one request.

        Raises:
            Problem: 429 if there were as many as may be.
        """
        if not self._window.hit(self._limit, key):
            again = self._window.get_window_stats(self._limit, key).reset_time
            wait = max(1, math.ceil(again - time.time()))
            raise Problem(
                429,
                f"this key has made {self._limit.amount} requests within {self._limit.get_expiry()} s; wait {wait} s",
                headers={"Retry-After": str(wait)},
            )

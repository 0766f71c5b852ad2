"""Calibration: what a request says of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from alignment.errors import RequestError

Progress = Callable[[str, int, int], None]  # stage, done, total
_LEAST, _MOST = 20, 100_000


@dataclass(frozen=True)
class Calibration:
    """How a score is calibrated.

    Attributes:
        permutations: how many draws of the null; 0 turns it off.
        resamples: how many draws the interval's width is read from; 0 turns it off.
        level: the interval's nominal coverage.
        operations: floating-point operations that the permutations of one metric may take; a metric that needs more is
            left without a null, and a warning says so.
    """

    permutations: int = 200
    resamples: int = 200
    level: float = 0.95
    operations: float = 2e13

    def __post_init__(self) -> None:
        for name in ("permutations", "resamples"):
            value = getattr(self, name)
            if not 0 <= value <= _MOST:
                raise RequestError(f"{name} must be between 0 and {_MOST}, not {value}")
        if 0 < self.resamples < _LEAST:
            raise RequestError(
                f"resamples must be 0 or at least {_LEAST}, not {self.resamples}: a quantile of fewer is none"
            )
        if not 0 < self.level < 1:
            raise RequestError(f"level must be above 0 and below 1, not {self.level}")
        if not self.operations > 0:
            raise RequestError(f"operations must be above 0, not {self.operations}")

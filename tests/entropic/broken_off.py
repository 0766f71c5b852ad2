"""A training that is killed, and begun again from what it kept."""

from collections.abc import Callable
from typing import TypeVar

import pytest

from alignment.entropic.training.keeper import FakeKeeper

T = TypeVar("T")


def broken_off(run: Callable[[FakeKeeper], T], saves: int = 1) -> T:
    """Returns what a run comes to that is killed once it has kept its state so often, and goes on from there."""
    keeper = FakeKeeper(patience=saves)
    with pytest.raises(KeyboardInterrupt):
        run(keeper)
    keeper.patience = None
    return run(keeper)

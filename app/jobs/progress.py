"""Progress: what a process says of how far it is, as it is kept."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any


def stage_of(seen: Mapping[str, Any] | None) -> str | None:
    """Returns the stage that a job was last seen in; None if it had not said so yet."""
    return None if seen is None else str(seen["stage"])


def with_eta(progress: Mapping[str, Any], began: dict[str, float]) -> dict[str, Any]:
    """Returns progress with the seconds that its stage will take at the pace it has had; None before there is one."""
    start = began.setdefault(progress["stage"], time.monotonic())
    done, total = progress["done"], progress["total"]
    eta = (time.monotonic() - start) * (total - done) / done if done else None
    return {**progress, "eta_seconds": None if eta is None else round(eta, 1)}

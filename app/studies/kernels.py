"""kernel_source(): what a study's payload says of its reference, in the terms of the science."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from alignment.study import KernelSource

TRAINING = "training"


def kernel_source(source: Mapping[str, Any]) -> KernelSource:
    """Returns the reference that a mapping with `kind`, `path` and, of some kinds, `window` and `smoothing` spells."""
    fields = {name: source[name] for name in ("kind", "path", "window", "smoothing") if name in source}
    return KernelSource(**{**fields, "kind": "theory"} if source["kind"] == TRAINING else fields)

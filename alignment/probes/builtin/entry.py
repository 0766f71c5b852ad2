"""Builtin: one row of the table of built-in probe sets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from alignment.probes.probe_set import Kind, ProbeSet


@dataclass(frozen=True)
class Builtin:
    """A probe set that needs no file.

    Attributes:
        name: what follows `builtin:`.
        title: what it holds, in words.
        kind: `text`, `image`, `paired` or `array`.
        licence: its SPDX identifier and the credit that it asks for.
        load: makes the set and names it as told; may keep what takes long to make in a folder.
    """

    name: str
    title: str
    kind: Kind
    licence: str
    load: Callable[[str, Path | None], ProbeSet] = field(repr=False)

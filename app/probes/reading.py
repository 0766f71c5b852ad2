"""Reading: a probe set is read once, when it is registered, so that what is wrong with it is said then."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from alignment.errors import ProbeError
from alignment.probes import ProbeSet, load_probe

# Pixels that are decoded to see whether images are whole, some seconds' worth. The job decodes every image before any
# model runs.
_MOST_PIXELS = 400_000_000
BUILTIN = "builtin:"


@dataclass(frozen=True)
class Facts:
    """What a probe set is.

    Attributes:
        modality: what its items are: text, image, paired or array.
        samples: how many it has.
        sha256: their fingerprint.
    """

    modality: str
    samples: int
    sha256: str

    @classmethod
    def of(cls, probe: ProbeSet) -> Facts:
        """Returns the facts of a set; this reads all of it."""
        return cls(probe.kind, len(probe), probe.sha256)


def read(path: Path, name: str, columns: Mapping[str, str]) -> ProbeSet:
    """Returns the probe set in a file.

    Args:
        path: where it is; it is not in any error.
        name: what errors call it.
        columns: what it calls its columns, where that is not their own name.

    Raises:
        ProbeError: if it cannot be read, or one of its first images is broken.
    """
    try:
        probe = load_probe(str(path), columns=columns, name=name)
        pixels = 0
        for image in probe.images or ():
            pixels += math.prod(image.open().size)
            if pixels > _MOST_PIXELS:
                break
    except ProbeError as error:
        raise ProbeError(str(error).replace(str(path), name).replace(str(path.parent), "…")) from error
    return probe


@cache
def builtin_facts(name: str) -> Facts:
    """Returns the facts of a built-in set: made once a process, for drawing the emoji takes two seconds.

    Raises:
        UnknownNameError: if there is none of that name.
        ProbeError: if a package that it is made from is not installed.
    """
    return Facts.of(load_probe(BUILTIN + name))

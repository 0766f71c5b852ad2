"""From a file or folder to a ProbeSet: a table from suffix to reader."""

from __future__ import annotations

from collections.abc import Callable

from alignment.errors import ProbeError
from alignment.probes.probe_set import ProbeSet
from alignment.probes.readers import comma, images, lines, npz, parquet, records, tensors
from alignment.probes.readers.source import Source

READERS: dict[str, Callable[[Source], ProbeSet]] = {
    ".txt": lines.read,
    ".jsonl": records.read,
    ".csv": comma.read,
    ".parquet": parquet.read,
    ".npz": npz.read,
    ".safetensors": tensors.read,
    ".zip": images.read,
}


def read_probe(source: Source) -> ProbeSet:
    """Returns the probe set in a file, by its suffix, or in a folder of images.

    Raises:
        ProbeError: if it is neither, or cannot be read.
    """
    try:
        if source.path.is_dir():
            return images.read(source)
        suffix = source.path.suffix.lower()
        if not source.path.is_file() or suffix not in READERS:
            raise ProbeError(
                f"probe set {source.name!r} is not one that can be read: it ends in {suffix or 'no suffix'!r}; "
                f"give a folder of images or a file that ends in {', '.join(READERS)}"
            )
        with source.path.open("rb"):  # so that a reader need not tell a file out of reach from a broken one
            return READERS[suffix](source)
    except OSError as error:  # of the file itself; what is wrong inside it each reader says
        reason = error.strerror or type(error).__name__
        raise ProbeError(
            f"probe set {source.name!r} cannot be opened ({reason}); name a file that can be read"
        ) from error

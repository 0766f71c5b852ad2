"""Tensors: vectors in a `.safetensors` file."""

from __future__ import annotations

from alignment.errors import ProbeError
from alignment.probes.probe_set import ProbeSet
from alignment.probes.readers.source import Source
from alignment.probes.readers.vectors import ARRAYS, MAX_BYTES, to_probe


def read(source: Source) -> ProbeSet:
    """Returns the vectors `x`, or `a` and `b`, with `ids` (whole numbers) and `target` where the file has them.

    Raises:
        ProbeError: if it is no .safetensors file, or an array in it cannot be used.
    """
    from safetensors import SafetensorError, safe_open

    source.refuse_columns("a .safetensors file has arrays")
    size = source.path.stat().st_size
    if size > MAX_BYTES:
        raise ProbeError(f"{source.name!r} has {size:,} bytes; at most {MAX_BYTES:,} are read")
    try:
        with safe_open(source.path, framework="numpy") as file:
            have = list(file.keys())
            arrays = {key: file.get_tensor(key) for key in ARRAYS if key in have}
    except (SafetensorError, TypeError, ValueError, AttributeError) as error:  # the last three: a type NumPy lacks
        raise ProbeError(
            f"{source.name!r} is not a readable .safetensors file ({error}); write it anew, its arrays as float32"
        ) from error
    return to_probe(source.name, arrays, have)

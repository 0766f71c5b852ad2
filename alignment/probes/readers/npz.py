"""Npz: vectors as `numpy.savez` writes them."""

from __future__ import annotations

import zipfile
import zlib

import numpy as np

from alignment.errors import ProbeError
from alignment.probes.probe_set import ProbeSet
from alignment.probes.readers.source import Source
from alignment.probes.readers.vectors import ARRAYS, MAX_BYTES, to_probe


def read(source: Source) -> ProbeSet:
    """Returns the vectors `x`, or `a` and `b`, with `ids` and `target` where the file has them.

    Raises:
        ProbeError: if it is no .npz file, or an array in it is pickled, too large or otherwise cannot be used.
    """
    source.refuse_columns("an .npz file has arrays")
    name = source.name
    if not zipfile.is_zipfile(source.path):  # numpy.load would take it for a pickle or a single array
        raise ProbeError(f"{name!r} is not an .npz file; write it with numpy.savez")
    try:
        with zipfile.ZipFile(source.path) as archive:
            members = archive.infolist()
        rare = [m for m in members if m.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)]
        size = sum(member.file_size for member in members)
        if rare or size > MAX_BYTES:
            raise ProbeError(f"{name!r} unpacks to {size:,} bytes; at most {MAX_BYTES:,}, as numpy.savez packs them")
        with np.load(source.path, allow_pickle=False) as file:
            have = list(file.files)
            arrays = {key: file[key] for key in ARRAYS if key in have}
    except ValueError as error:
        if "allow_pickle" in str(error):
            raise ProbeError(
                f"{name!r} has an array of Python objects, which is refused because reading it runs code; "
                "save numbers, and ids as an array of text"
            ) from error
        raise ProbeError(f"{name!r} is not a readable .npz file ({error}); write it anew") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, RuntimeError, MemoryError, SyntaxError) as error:
        raise ProbeError(f"{name!r} is not a readable .npz file ({error}); write it anew") from error
    for key, array in arrays.items():
        if not isinstance(array, np.ndarray):  # a member that is no .npy comes back as bytes
            raise ProbeError(f"{name!r}: {key!r} is not an array; write it with numpy.savez")
    return to_probe(name, arrays, have)

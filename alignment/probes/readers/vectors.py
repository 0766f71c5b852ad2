"""Vectors: named arrays, on their way to a ProbeSet of kind `array`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from alignment.errors import ProbeError
from alignment.probes.probe_set import ProbeSet
from alignment.probes.readers import cells

ARRAYS = ("x", "a", "b", "ids", "target")  # the others of a file are not read
MAX_BYTES = 8 * 2**30  # of one file's arrays: they are held in memory


def to_probe(name: str, arrays: Mapping[str, np.ndarray], have: list[str]) -> ProbeSet:
    """Returns the probe set of `x [items, width]`, or of `a [items, width]` and `b [items, width]`.

    Args:
        name: what the set and errors call it.
        arrays: those of `ARRAYS` that the file has; `ids` and `target` are `[items]`.
        have: the names of all the file's arrays.

    Raises:
        ProbeError: naming the array, and its row, that cannot be used.
    """
    views = {view: _view(name, view, arrays[view]) for view in ("x", "a", "b") if view in arrays}
    if set(views) not in ({"x"}, {"a", "b"}):
        listed = ", ".join(map(repr, have)) or "none"
        raise ProbeError(f"{name!r} has the arrays {listed}; name one 'x' for both models, or two 'a' and 'b'")
    rows = {view: len(values) for view, values in views.items()}
    count = next(iter(rows.values()))
    if set(rows.values()) != {count}:
        raise ProbeError(f"{name!r}: 'a' has {rows['a']} rows and 'b' has {rows['b']}; row i of both is item i")
    for column in ("ids", "target"):
        if column in arrays and arrays[column].shape != (count,):
            shape = list(arrays[column].shape)
            raise ProbeError(f"{name!r}: the array {column!r} has the shape {shape}; it must be [{count}], one an item")
    where = [f"row {row}" for row in range(1, count + 1)]
    return ProbeSet(
        name,
        cells.ids(arrays["ids"].tolist(), where, "id", name) if "ids" in arrays else tuple(map(str, range(count))),
        vectors=views,
        targets=cells.targets(arrays["target"].tolist(), where, "target", name) if "target" in arrays else None,
    )


def _view(name: str, view: str, values: np.ndarray) -> np.ndarray:
    """Returns the array in this machine's byte order; whole numbers become float64."""
    if values.ndim != 2 or 0 in values.shape:
        raise ProbeError(f"{name!r}: the array {view!r} has the shape {list(values.shape)}; it must be [items, width]")
    if values.dtype.kind in "iub":
        return values.astype(np.float64)
    if values.dtype.kind != "f" or values.dtype.itemsize > 8:
        raise ProbeError(f"{name!r}: the array {view!r} is of {values.dtype}; save it as float32")
    bad = ~np.isfinite(values)
    if bad.any():
        row = int(bad.any(axis=1).argmax())
        raise ProbeError(f"{name!r}: the array {view!r} has NaN or infinity in row {row + 1}; remove or replace it")
    return np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))

"""read_reference(): from a file and a probe set to a kernel of the probe set's items."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from alignment.entropic.theory import FILE, read_theory
from alignment.errors import MismatchError, RequestError
from alignment.probes import ProbeSet
from alignment.study.reference.corpus import count_corpus
from alignment.study.reference.pmi import pmi_kernel
from alignment.study.reference.source import KernelSource

_ASYMMETRY = 1e-6  # of the greatest magnitude: what rounding in float32 leaves
_SPECTRUM = 4096  # items: of a larger kernel the eigenvalues would take minutes


@dataclass(frozen=True, eq=False)
class ReferenceKernel:
    """A kernel of the drawn items, or of those of them that it says something about.

    Attributes:
        values: symmetric, float64.
        rows: which of the drawn items its rows are.
        facts: where it comes from, and what was done to it.
    """

    values: Float[np.ndarray, "m m"]
    rows: tuple[int, ...]
    facts: dict[str, Any]


def read_reference(source: KernelSource, whole: ProbeSet, drawn: ProbeSet, least: int) -> ReferenceKernel:
    """Returns the reference kernel of the items that were drawn of a probe set.

    PMI is of the whole matrix or corpus, whatever was drawn. Items that never occur have no PMI and are left out. A
    kernel need not be positive: it is taken as it is, negative eigenvalues and all, and `negative_share` says how much
    of the centred kernel's spectrum, by magnitude, they are (None beyond 4,096 items).

    Args:
        source: the file.
        whole: the probe set; without ids, row i of the file is its item i.
        drawn: what was drawn of it.
        least: how many items must be left.

    Raises:
        RequestError: if the file cannot be read or used.
        MismatchError: if it is not of the probe set's items.
    """
    path, facts = Path(source.path), source.to_dict()
    if source.kind == "theory":
        return _of_theory(path, facts, drawn, least)
    ids: tuple[str, ...] | None = whole.ids
    try:
        facts["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
        if source.kind == "corpus":
            if whole.texts is None:
                raise MismatchError(f"probe set {whole.name!r} has no texts to look for in the corpus {path}")
            with path.open(encoding="utf-8") as lines:
                matrix = count_corpus(lines, whole.texts, source.window)
        else:
            matrix, ids = _read_matrix(path, source.kind)
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"the {source.kind} file {path} cannot be read ({error}); check it") from error
    place = _places(path, ids, len(matrix), whole, drawn)
    rows = list(range(len(drawn)))
    if source.kind != "kernel":
        occurs = _check_counts(path, matrix, source.smoothing)
        facts["occurring"] = int(occurs.sum())
        rows = [row for row in rows if occurs[place[row]]]
        _require(rows, drawn, least, path)
        facts["zero_share"] = float((matrix[np.ix_(occurs, occurs)] == 0).mean())
        where = np.cumsum(occurs) - 1  # among the occurring
        values = pmi_kernel(matrix[np.ix_(occurs, occurs)], source.smoothing)
        index = [int(where[place[row]]) for row in rows]
    else:
        _require(rows, drawn, least, path)
        values, index = matrix, [place[row] for row in rows]
    return _checked(path, values[np.ix_(index, index)], rows, facts)


def centre(kernel: Float[np.ndarray, "m m"]) -> Float[np.ndarray, "m m"]:
    """Returns H K H with H = I - 11ᵀ/m, exactly symmetric if K is."""
    means = kernel.mean(axis=1)
    return np.asarray(kernel - (means[:, None] + means[None, :]) + means.mean())


def _checked(
    path: Path, values: Float[np.ndarray, "m m"], rows: Sequence[int], facts: dict[str, Any]
) -> ReferenceKernel:
    centred = centre(values)
    if np.linalg.norm(centred) <= 1e-12 * np.linalg.norm(values):
        raise RequestError(f"{path}: the kernel of the items drawn is constant once centred, so nothing can be like it")
    facts["negative_share"] = _negative_share(centred)
    return ReferenceKernel(values, tuple(rows), facts)


def _of_theory(path: Path, facts: dict[str, Any], drawn: ProbeSet, least: int) -> ReferenceKernel:
    """Returns x₁ᵀ P x₂ of the drawn items' vectors."""
    form = read_theory(path).numpy()
    facts["sha256"] = hashlib.sha256((path / FILE if path.is_dir() else path).read_bytes()).hexdigest()
    x = drawn.vectors.get("x")
    if x is None or x.shape[1] != len(form):
        held = f"vectors 'x' of width {x.shape[1]}" if x is not None else "none 'x'"
        raise MismatchError(
            f"{path}: the kernel is of vectors of width {len(form)}, as the network takes them, and probe set "
            f"{drawn.name!r} has {held}"
        )
    rows = range(len(drawn))
    _require(rows, drawn, least, path)
    wide = x.astype(np.float64)
    values = wide @ form @ wide.T
    return _checked(path, (values + values.T) / 2, rows, facts)


def _read_matrix(path: Path, name: str) -> tuple[Float[np.ndarray, "m m"], tuple[str, ...] | None]:
    if not zipfile.is_zipfile(path):  # numpy would take anything else for a pickle
        raise RequestError(f"{path} is not an .npz file; write it with numpy.savez(…, {name}=…)")
    try:
        with np.load(path, allow_pickle=False) as file:
            have = list(file.files)
            matrix = file[name] if name in have else None
            ids = file["ids"] if "ids" in have else None
    except (ValueError, EOFError, zipfile.BadZipFile, KeyError) as error:
        raise RequestError(f"{path} is not a readable .npz file of plain arrays ({error}); write it anew") from error
    if matrix is None:
        raise RequestError(f"{path} has no array {name!r} but {', '.join(map(repr, have)) or 'none'}")
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.dtype.kind not in "fiu":
        raise RequestError(f"{path}: {name!r} is {matrix.dtype} {list(matrix.shape)}; it must be numbers, square")
    values = matrix.astype(np.float64)
    if not np.isfinite(values).all():
        row = int((~np.isfinite(values)).any(axis=1).argmax())
        raise RequestError(f"{path}: {name!r} has NaN or infinity in row {row}; remove that item")
    if np.abs(values - values.T).max(initial=0) > _ASYMMETRY * np.abs(values).max(initial=0):
        raise RequestError(f"{path}: {name!r} is not symmetric; give (M + Mᵀ) / 2 if that is what is meant")
    if ids is not None and (ids.shape != (len(values),) or ids.dtype.kind not in "iuU"):
        raise RequestError(f"{path}: 'ids' must be {len(values)} integers or texts, one a row")
    return (values + values.T) / 2, None if ids is None else tuple(str(item) for item in ids.tolist())


def _places(path: Path, ids: Sequence[str] | None, size: int, whole: ProbeSet, drawn: ProbeSet) -> list[int]:
    """Returns which row of the file each drawn item is."""
    if ids is not None:
        if len(set(ids)) != len(ids):
            raise MismatchError(f"{path} has an id more than once; give each row its own id")
        place = {item: row for row, item in enumerate(ids)}
        missing = [item for item in drawn.ids if item not in place]
        if missing:
            raise MismatchError(
                f"{path} has no row for item {missing[0]!r} of probe set {whole.name!r} ({len(missing)} are missing)"
            )
        return [place[item] for item in drawn.ids]
    if size != len(whole):
        raise MismatchError(
            f"{path} has {size} rows and no ids, and probe set {whole.name!r} has {len(whole)} items; "
            "give it one row an item, or an array 'ids'"
        )
    return list(range(size)) if drawn.rows is None else list(drawn.rows)


def _check_counts(path: Path, counts: Float[np.ndarray, "m m"], smoothing: float) -> np.ndarray:
    """Returns which items occur at all."""
    if counts.min(initial=0) < 0:
        raise RequestError(f"{path}: counts must not be negative")
    if smoothing > 0 and 0 < counts.sum() <= 1 + 1e-6:
        raise RequestError(f"{path} holds probabilities; give counts, or a smoothing of 0")
    return np.asarray(counts.sum(axis=1) > 0)


def _require(rows: Sequence[int], drawn: ProbeSet, least: int, path: Path) -> None:
    if len(rows) < least:
        raise RequestError(
            f"{path}: {len(rows)} of the {len(drawn)} items drawn occur together with any, and {least} are needed; "
            "take more samples, or a larger corpus or window"
        )


def _negative_share(centred: Float[np.ndarray, "m m"]) -> float | None:
    if len(centred) > _SPECTRUM:
        return None
    spectrum = np.linalg.eigvalsh(centred)
    spectrum[np.abs(spectrum) < len(centred) * np.finfo(float).eps * np.abs(spectrum).max()] = 0
    return float(-spectrum[spectrum < 0].sum() / np.abs(spectrum).sum())

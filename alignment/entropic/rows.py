"""Rows: inputs and targets from a file, and the loss that they ask for."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from alignment.entropic.problem import Loss, Problem, cross_entropy, square_error
from alignment.errors import TrainingError
from alignment.probes import ProbeSet, load_probe

SUFFIXES = (".npz", ".safetensors")
FILE = "data.npz"  # beside a trained model: what it was trained on
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_UNREADABLE = (  # what a damaged or hostile array raises, beside objects and types that NumPy lacks
    EOFError,
    KeyError,
    MemoryError,
    RuntimeError,
    SafetensorError,
    SyntaxError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True, eq=False)
class Rows:
    """Inputs and targets.

    Attributes:
        inputs: `[n, d]`.
        targets: `[n, m]` numbers, or `[n]` class numbers, int64.
    """

    inputs: Tensor
    targets: Tensor

    @property
    def loss(self) -> Loss:
        """The sum of squares for numbers, cross-entropy for classes."""
        return square_error if self.targets.is_floating_point() else cross_entropy

    def problem(self, model: nn.Module, inputs: int, outputs: int) -> Problem:
        """Returns the problem of a model of these widths on these rows.

        Raises:
            TrainingError: if the widths do not fit.
        """
        self.check_width(inputs)
        if self.targets.is_floating_point():
            if self.targets.shape[1] != outputs:
                raise TrainingError(
                    f"the data have targets of width {self.targets.shape[1]}; the model gives {outputs}"
                )
        elif int(self.targets.min()) < 0 or int(self.targets.max()) >= outputs:
            raise TrainingError(f"the data have classes beyond 0 to {outputs - 1}, which are the model's")
        dtype = next(model.parameters()).dtype
        targets = self.targets.to(dtype) if self.targets.is_floating_point() else self.targets
        return Problem(model, self.loss, self.inputs.to(dtype), targets)

    def check_width(self, inputs: int) -> None:
        """Checks that a model of inputs of this width takes these.

        Raises:
            TrainingError: if it does not.
        """
        if self.inputs.shape[1] != inputs:
            raise TrainingError(f"the data have inputs of width {self.inputs.shape[1]}; the model takes {inputs}")


def read_rows(path: Path, side: str = "a") -> Rows:
    """Returns the rows in an `.npz` or `.safetensors` file: `x` (or `a` and `b`), and `y` `[n, m]` or `target` `[n]`.

    Whole numbers in `target` are classes, and so are labels, in alphabetical order; all others are numbers to fit.

    Args:
        path: the file.
        side: which view is taken where there are two.

    Raises:
        ProbeError: if the inputs cannot be read.
        TrainingError: if there are no targets, or they do not fit the inputs.
    """
    if side not in ("a", "b"):
        raise TrainingError(f"side is 'a' or 'b', not {side!r}")
    if path.suffix not in SUFFIXES:
        raise TrainingError(
            f"{path} is not an .npz file or .safetensors; save inputs as 'x' and targets as 'y' or 'target'"
        )
    x = _inputs(load_probe(str(path)), side)  # which refuses whatever is no plain array
    return Rows(x, _targets(path, len(x)))


def read_sides(path: Path) -> tuple[Rows, Rows]:
    """Returns the rows that A and that B see, of a file that is read once; where it has `x` both are the same.

    Raises:
        ProbeError: if the inputs cannot be read.
        TrainingError: as `read_rows`.
    """
    probe = load_probe(str(path))
    a = _inputs(probe, "a")
    first = Rows(a, _targets(path, len(a)))
    return first, first if probe.vectors.keys() == {"x"} else Rows(_inputs(probe, "b"), first.targets)


def _inputs(probe: ProbeSet, side: str) -> Tensor:
    items = np.stack(list(probe.items("array", side)))  # type: ignore[arg-type]  # one of the two, as checked
    return torch.from_numpy(items.astype(np.float64, copy=False))


def _targets(path: Path, count: int) -> Tensor:
    """Returns the targets of so many items, `[n, m]` numbers or `[n]` class numbers."""
    name, targets = _read_targets(path, count)
    if targets.dtype.kind == "U":
        targets = np.unique(targets, return_inverse=True)[1]
    if not np.isfinite(targets).all():
        raise TrainingError(f"{path}: {name!r} has NaN or infinity; remove or replace those rows")
    if targets.dtype.kind in "iu" and targets.ndim == 1:
        return torch.from_numpy(targets.astype(np.int64))
    return torch.from_numpy(targets.astype(np.float64).reshape(len(targets), -1))


def _read_targets(path: Path, count: int) -> tuple[str, np.ndarray]:
    """Returns the targets' name and what is in the file under it, if its header says that it fits so many items."""
    name: str | None = None
    try:
        if path.suffix != ".npz":
            with safe_open(path, framework="numpy") as file:
                name = _name(path, file.keys())
                _check_fit(path, name, file.get_slice(name).get_shape(), None, count)
                targets = file.get_tensor(name)
                _check_fit(path, name, targets.shape, targets.dtype, count)
                return name, targets
        with np.load(path, allow_pickle=False) as arrays:
            name = _name(path, arrays.files)
            with arrays.zip.open(f"{name}.npy") as member:
                shape, dtype = _header(member)
            _check_fit(path, name, shape, dtype, count)
            if math.prod(shape) * dtype.itemsize > arrays.zip.getinfo(f"{name}.npy").file_size:
                raise ValueError("its header says more than there is")
            return name, arrays[name]
    except _UNREADABLE as error:
        said = f"{name!r} cannot be read" if name else "it cannot be read"
        raise TrainingError(f"{path}: {said} ({error}); save it as numbers, with numpy.savez") from error


def _name(path: Path, have: Iterable[str]) -> str:
    name = next((name for name in ("y", "target") if name in have), None)
    if name is None:
        raise TrainingError(f"{path} has no targets; add an array 'y' of numbers [items, width] or 'target' [items]")
    return name


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(member)
    if version not in _HEADERS:
        raise ValueError(f"its format is {version}")
    shape, _, dtype = _HEADERS[version](member)
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    return shape, dtype


def _check_fit(path: Path, name: str, shape: Sequence[int], dtype: np.dtype | None, count: int) -> None:
    """Refuses an array that is not one row an item; of a dtype that is not known yet the shape alone counts."""
    labels = dtype is not None and dtype.kind == "U" and len(shape) == 1 and name == "target"
    numbers = dtype is None or dtype.kind in "iubf"
    if not (labels or numbers) or len(shape) not in (1, 2) or shape[0] != count:
        kind = "an array" if dtype is None else dtype
        raise TrainingError(f"{path}: {name!r} is {kind} of the shape {list(shape)}; give one row an item, of numbers")


def rows_file(rows: Rows) -> bytes:
    """Returns the contents of a file that `read_rows` reads."""
    out = io.BytesIO()
    name = "y" if rows.targets.is_floating_point() else "target"
    np.savez(out, allow_pickle=False, **{"x": rows.inputs.numpy(), name: rows.targets.numpy()})
    return out.getvalue()

"""Rows: inputs and targets from a file, and the loss that they ask for."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor, nn

from alignment.entropic.problem import Loss, Problem, cross_entropy, square_error
from alignment.errors import TrainingError
from alignment.probes import ProbeSet, load_probe

SUFFIXES = (".npz", ".safetensors")
FILE = "data.npz"  # beside a trained model: what it was trained on


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
        if self.inputs.shape[1] != inputs:
            raise TrainingError(f"the data have inputs of width {self.inputs.shape[1]}; the model takes {inputs}")
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
    probe: ProbeSet = load_probe(str(path))  # refuses whatever is no plain array
    inputs = np.stack(list(probe.items("array", side)))  # type: ignore[arg-type]  # one of the two, as checked
    name, targets = _targets(path)
    if targets.dtype.kind == "U" and targets.ndim == 1 and name == "target":
        targets = np.unique(targets, return_inverse=True)[1]
    if targets.dtype.kind not in "iubf" or targets.ndim not in (1, 2) or len(targets) != len(inputs):
        shape = list(targets.shape)
        raise TrainingError(
            f"{path}: {name!r} is {targets.dtype} of the shape {shape}; give one row an item, of numbers"
        )
    if not np.isfinite(targets).all():
        raise TrainingError(f"{path}: {name!r} has NaN or infinity; remove or replace those rows")
    x = torch.from_numpy(inputs.astype(np.float64))
    if targets.dtype.kind in "iu" and targets.ndim == 1:
        return Rows(x, torch.from_numpy(targets.astype(np.int64)))
    return Rows(x, torch.from_numpy(targets.astype(np.float64).reshape(len(targets), -1)))


def _targets(path: Path) -> tuple[str, np.ndarray]:
    """Returns the targets' name and what is in the file under it."""
    opened: Any = np.load(path, allow_pickle=False) if path.suffix == ".npz" else safe_open(path, framework="numpy")
    with opened as file:
        name = next((name for name in ("y", "target") if name in file.keys()), None)  # noqa: SIM118 - of safetensors
        if name is None:
            raise TrainingError(
                f"{path} has no targets; add an array 'y' of numbers [items, width] or 'target' [items]"
            )
        try:
            return name, file[name] if path.suffix == ".npz" else file.get_tensor(name)
        except (TypeError, ValueError) as error:  # objects, or a type that NumPy lacks
            raise TrainingError(f"{path}: {name!r} cannot be read ({error}); save it as numbers") from error


def rows_file(rows: Rows) -> bytes:
    """Returns the contents of a file that `read_rows` reads."""
    out = io.BytesIO()
    name = "y" if rows.targets.is_floating_point() else "target"
    np.savez(out, allow_pickle=False, **{"x": rows.inputs.numpy(), name: rows.targets.numpy()})
    return out.getvalue()

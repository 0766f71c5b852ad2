"""Classroom: what a pair of nonlinear networks learns from, and is examined on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from alignment.entropic.chance import generator, normal
from alignment.entropic.initial import dense_network
from alignment.entropic.problem import Loss
from alignment.entropic.rows import SUFFIXES, Rows, read_sides
from alignment.errors import TrainingError, UnknownNameError
from alignment.models import DenseConfig

BUILTIN = ("teacher", "digits")
_HELD_OUT = 0.25
_WIDEST = 4096  # numbers of an input, or of a target: a random view is a matrix of the square of it
_FEW = 16  # classes that may have gaps between their numbers, whatever there are
_TEACHER = (16, 16, 4)  # widths
_TEACHER_ROWS, _TEACHER_NOISE = 512, 0.5


@dataclass(frozen=True, eq=False)
class Classroom:
    """Rows to learn from, and others to be examined on, as both networks get them before their views.

    Attributes:
        name: how it was asked for.
        inputs: `[n, d]`, for A.
        inputs_b: `[n, e]`, for B: the same, unless a file holds a view for each.
        targets: `[n, m]` numbers or `[n]` classes.
        held: `[n]`, whether a row is held out.
    """

    name: str
    inputs: Tensor
    inputs_b: Tensor
    targets: Tensor
    held: Tensor

    @property
    def classes(self) -> bool:
        """Whether the targets are classes."""
        return not self.targets.is_floating_point()

    @property
    def outputs(self) -> int:
        """How many outputs a network needs."""
        return int(self.targets.max()) + 1 if self.classes else self.targets.shape[1]

    @property
    def loss(self) -> Loss:
        """A row's loss."""
        return Rows(self.inputs, self.targets).loss


def classroom(name: str, seed: int) -> Classroom:
    """Returns a built-in set, or the rows of a file (`read_sides`) with a quarter of them held out by seed.

    `teacher` is a ReLU network's outputs, with noise of deviation 0.5 on the rows learnt from and none on those held
    out; `digits` is scikit-learn's, pixels between 0 and 1.

    Args:
        name: `teacher`, `digits`, or a file.
        seed: what is drawn.

    Raises:
        UnknownNameError: if there is no such set or file.
        TrainingError: if its rows cannot be used.
    """
    if name == "teacher":
        return _teacher(seed)
    if name == "digits":
        return _digits(seed)
    if not name.endswith(SUFFIXES):
        raise UnknownNameError("data set", name, (*BUILTIN, "FILE.npz"))
    if not Path(name).is_file():
        raise TrainingError(f"there is no file {name}; give an .npz with x (or a and b) and y or target")
    a, b = read_sides(Path(name))
    _check(name, a, b)
    return Classroom(name, a.inputs, b.inputs, a.targets, _held(len(a.inputs), seed))


def _teacher(seed: int) -> Classroom:
    random = generator(seed, "teacher rows")
    held = torch.arange(2 * _TEACHER_ROWS) >= _TEACHER_ROWS
    x = normal(random, len(held), _TEACHER[0])
    network = dense_network(DenseConfig(_TEACHER), seed, "teacher")
    with torch.no_grad():
        clean = network(x)
    noise = _TEACHER_NOISE * normal(random, *clean.shape)
    return Classroom("teacher", x, x, clean + noise * (~held)[:, None], held)


def _digits(seed: int) -> Classroom:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise TrainingError("the data set digits comes with scikit-learn; pip install scikit-learn") from error
    found = load_digits()
    x = torch.from_numpy(found.data).double() / 16
    return Classroom("digits", x, x, torch.from_numpy(found.target).long(), _held(len(x), seed))


def _check(name: str, a: Rows, b: Rows) -> None:
    """Refuses rows that networks of these recipes would take hours or gigabytes to learn."""
    width = max(a.inputs.shape[1], b.inputs.shape[1])
    if width > _WIDEST:
        raise TrainingError(f"{name} has inputs of width {width}; at most {_WIDEST} are taken: project them first")
    for rows in (a, b):
        if bool((rows.inputs == rows.inputs[:1]).all()):
            raise TrainingError(f"{name} has the same input in every row, of which nothing is learnt; give others")
    if a.targets.is_floating_point():
        if a.targets.shape[1] > _WIDEST:
            raise TrainingError(f"{name} has targets of width {a.targets.shape[1]}; at most {_WIDEST} are taken")
        return
    if int(a.targets.min()) < 0:
        raise TrainingError(f"{name} has classes below 0; number them from 0")
    most, kinds = int(a.targets.max()) + 1, len(torch.unique(a.targets))
    if most > max(2 * kinds, _FEW):
        raise TrainingError(
            f"{name} has {kinds} classes, numbered up to {most - 1}; number them from 0 without gaps, or give numbers "
            "to fit as float64"
        )
    if kinds > min(_WIDEST, len(a.targets) // 2):
        raise TrainingError(
            f"{name} has {kinds} classes in {len(a.targets)} rows; give fewer classes, or numbers to fit as float64"
        )


def _held(count: int, seed: int) -> Tensor:
    if count < 40:
        raise TrainingError(f"{count} rows are too few to hold some out; give at least 40")
    held = torch.zeros(count, dtype=torch.bool)
    held[torch.randperm(count, generator=generator(seed, "held out"))[: round(_HELD_OUT * count)]] = True
    return held

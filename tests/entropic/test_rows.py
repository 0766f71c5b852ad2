"""Rows of a file: read as they were written, and refused with the reason where they cannot be used."""

import io
import zipfile

import numpy as np
import pytest
import torch

from alignment.entropic.problem import cross_entropy, square_error
from alignment.entropic.rows import Rows, read_rows, read_sides, rows_file
from alignment.errors import ProbeError, TrainingError
from alignment.models import DenseConfig, DenseNetwork

X = np.arange(6.0).reshape(3, 2)


def test_what_is_written_is_read(tmp_path) -> None:
    for targets in (torch.ones(3, 2).double(), torch.tensor([0, 2, 1])):
        path = tmp_path / "data.npz"
        path.write_bytes(rows_file(Rows(torch.from_numpy(X), targets)))
        found = read_rows(path)
        assert torch.equal(found.inputs, torch.from_numpy(X))
        assert torch.equal(found.targets, targets)
        assert found.targets.dtype == targets.dtype
        assert found.loss is (square_error if targets.is_floating_point() else cross_entropy)


def test_each_side_has_its_view(tmp_path) -> None:
    path = tmp_path / "rows.npz"
    np.savez(path, a=X, b=2 * X, target=np.array([0.5, 1.5, 2.5]))
    assert torch.equal(read_rows(path, "b").inputs, torch.from_numpy(2 * X))
    assert read_rows(path, "a").targets.shape == (3, 1)


@pytest.mark.parametrize(
    ("arrays", "error", "match"),
    [
        ({"x": X}, TrainingError, "has no targets"),
        ({"y": X}, ProbeError, "name one 'x'"),
        ({"x": X, "y": X[:2]}, TrainingError, "one row an item"),
        ({"x": X, "y": np.array(["a", "b", "c"])}, TrainingError, "of numbers"),
        ({"x": X, "y": X * np.nan}, TrainingError, "NaN or infinity"),
        ({"x": X * np.nan, "y": X}, ProbeError, "NaN or infinity"),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path, arrays: dict, error: type, match: str) -> None:
    path = tmp_path / "rows.npz"
    np.savez(path, **arrays)
    with pytest.raises(error, match=match):
        read_rows(path)


def damaged(how: str) -> bytes:
    """An .npz with sound inputs and targets that cannot be read."""
    out, header = io.BytesIO(), io.BytesIO()
    shape = (3, 2**45) if how == "huge" else (3, 2)
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": shape})
    member = header.getvalue() + b"\1" * 48
    if how == "no array":
        member = b"text"
    if how == "short":
        member = member[:-8]
    np.savez(out, x=X)
    with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED if how == "torn" else zipfile.ZIP_STORED) as archive:
        archive.writestr("y.npy", member)
        at = archive.getinfo("y.npy").header_offset
    content = out.getvalue()
    if how in ("torn", "flipped"):
        at += 60 if how == "torn" else content[at:].index(b"\1" * 48)
        content = content[:at] + b"\7\7\7\7\7\7" + content[at + 6 :]
    return content


@pytest.mark.parametrize("how", ["huge", "no array", "short", "torn", "flipped"])
def test_targets_that_are_damaged_are_refused_in_a_sentence(tmp_path, how: str) -> None:
    path = tmp_path / "rows.npz"
    path.write_bytes(damaged(how))
    for read in (read_rows, read_sides):
        with pytest.raises(TrainingError, match=r"'y' cannot be read .*; save it as numbers"):
            read(path)


def test_targets_of_another_length_are_refused_before_they_are_read(tmp_path, monkeypatch) -> None:
    path = tmp_path / "rows.npz"
    np.savez(path, x=X, y=np.zeros((4, 2)))
    read = list[str]()
    whole = np.lib.npyio.NpzFile.__getitem__
    monkeypatch.setattr(np.lib.npyio.NpzFile, "__getitem__", lambda file, key: [read.append(key), whole(file, key)][1])
    with pytest.raises(TrainingError, match=r"'y' is float64 of the shape \[4, 2\]; give one row an item"):
        read_rows(path)
    assert read == ["x"]


def test_a_file_is_read_once_for_both_sides(tmp_path) -> None:
    path = tmp_path / "rows.npz"
    np.savez(path, x=X, y=X)
    a, b = read_sides(path)
    assert a is b
    np.savez(path, a=X, b=2 * X, y=X)
    a, b = read_sides(path)
    assert torch.equal(2 * a.inputs, b.inputs)
    assert a.targets is b.targets


def test_another_file_or_side_is_refused(tmp_path) -> None:
    with pytest.raises(TrainingError, match=r"not an \.npz file"):
        read_rows(tmp_path / "rows.csv")
    with pytest.raises(TrainingError, match="'a' or 'b', not 'c'"):
        read_rows(tmp_path / "rows.npz", "c")


def test_rows_must_fit_the_model() -> None:
    network = DenseNetwork(DenseConfig((2, 3, 2)))
    x = torch.from_numpy(X)
    with pytest.raises(TrainingError, match="inputs of width 2; the model takes 4"):
        Rows(x, x).problem(network, 4, 2)
    with pytest.raises(TrainingError, match="targets of width 2; the model gives 3"):
        Rows(x, x).problem(network, 2, 3)
    with pytest.raises(TrainingError, match="classes beyond 0 to 1"):
        Rows(x, torch.tensor([0, 1, 2])).problem(network, 2, 2)

"""A file that cannot be used is refused with what is wrong in it, and nothing in it is ever run."""

import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from alignment.activations import read_activations
from alignment.errors import ActivationsError

X = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
HOLE = np.where(np.arange(15).reshape(5, 3) == 7, np.nan, X)
WALL = np.where(np.arange(15).reshape(5, 3) == 7, -np.inf, X.astype(np.float16))


def refused(path: Path, message: str) -> None:
    with pytest.raises(ActivationsError, match=message) as refusal:
        read_activations(path)
    assert path.name in str(refusal.value)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"h": HOLE}, "layer 'h' has NaN or Inf in row 2"),
        ({"g": X, "h": WALL}, "layer 'h' has NaN or Inf in row 2"),
        ({"h": X.astype(np.int32)}, "'h' holds int32; write float16"),
        ({"h": X > 0}, "'h' holds bool"),
        ({"h": X[0]}, r"layer 'h' has shape \[3\]; it must be \[items, width\]"),
        ({"h": X[None]}, r"layer 'h' has shape \[1, 5, 3\]"),
        ({"h": X[0, 0]}, r"layer 'h' has shape \[\]"),
        ({"h": X[:0]}, r"layer 'h' has shape \[0, 3\]"),
        ({"h": X[:, :0]}, r"layer 'h' has shape \[5, 0\]"),
        ({"g": X, "h": X[:4]}, r"layers have \[4, 5\] rows"),
        ({"h": X, "ids": np.arange(4)}, "4 ids for 5 rows"),
        ({"h": X, "ids": np.arange(5.0)}, "'ids' must be one list of whole numbers or texts"),
        ({"h": X, "ids": np.arange(5)[:, None]}, "'ids' must be one list"),
        ({"h": X, "ids": np.ones(5, bool)}, "'ids' must be one list"),
        ({"ids": np.arange(5)}, "holds no layer"),
        ({}, "holds no layer"),
        ({"a\x1b[2J": X}, "the layer name .* cannot be printed"),
        ({" ": X}, "the layer name ' ' cannot be printed"),
    ],
)
def test_bad_arrays_are_named(tmp_path: Path, suffix: str, arrays: dict[str, np.ndarray], message: str) -> None:
    path = tmp_path / f"x{suffix}"
    if suffix == ".npz":
        np.savez(path, **arrays)
    else:
        save_file({name: torch.tensor(value) for name, value in arrays.items()}, path)
    refused(path, message)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.array([[object()]], dtype=object), "object arrays or pickles, which are never loaded"),
        (np.array([{"a": 1}, None], dtype=object), "object arrays or pickles"),
        (X.astype(np.complex64), "'h' holds complex64"),
        (X.astype(np.longdouble), "'h' holds float128"),
        (np.array([["a"]]), "'h' holds <U1"),
        (np.zeros(5, [("a", "f4")]), "'h' holds"),
    ],
)
def test_what_only_numpy_knows_is_refused(tmp_path: Path, value: np.ndarray, message: str) -> None:
    np.savez(tmp_path / "x.npz", h=value)
    refused(tmp_path / "x.npz", message)


def test_a_pickle_is_not_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return (Path.touch, (tmp_path / "ran",))

    for name in ("pickle.npz", "pickle.safetensors"):
        (tmp_path / name).write_bytes(pickle.dumps(Bomb()))
        refused(tmp_path / name, "is not a (readable )?")
    np.savez(tmp_path / "object.npz", h=np.array([Bomb()], dtype=object))
    refused(tmp_path / "object.npz", "never loaded")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@pytest.mark.parametrize("data", [b"", b"\x93NUMPY", b"PK\5\6", b"\xff" * 64, b"\x08" + b"\0" * 7 + b"{}      "])
def test_other_bytes_are_refused(tmp_path: Path, suffix: str, data: bytes) -> None:
    (tmp_path / f"x{suffix}").write_bytes(data)
    refused(tmp_path / f"x{suffix}", "is not a|holds no layer")


def test_a_single_array_and_other_zips_are_refused(tmp_path: Path) -> None:
    with (tmp_path / "array.npz").open("wb") as file:
        np.save(file, X)
    refused(tmp_path / "array.npz", "is not a .npz file")
    for member in ("hello.txt", "hello.npy"):
        with zipfile.ZipFile(tmp_path / "zip.npz", "w") as archive:
            archive.writestr(member, "hello")
        refused(tmp_path / "zip.npz", "is a zip file with 'hello.*which is no array")


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.floats(0, 0.999), at=st.floats(0, 0.999), flip=st.integers(0, 255))
def test_a_damaged_file_is_read_or_refused_and_nothing_else(
    tmp_path: Path, suffix: str, cut: float, at: float, flip: int
) -> None:
    whole = tmp_path / f"whole{suffix}"
    if not whole.exists():
        if suffix == ".npz":
            np.savez_compressed(whole, a=X, b=X, ids=np.arange(5))
        else:
            save_file({"a": torch.tensor(X)}, whole, {"ids": json.dumps(list("abcde"))})
    data = whole.read_bytes()
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(data[: int(cut * len(data))])
    refused(path, "is not a")
    spoilt = bytearray(data)
    spoilt[int(at * len(data))] ^= flip
    path.write_bytes(spoilt)
    try:
        assert len(read_activations(path)) == 5
    except ActivationsError as refusal:
        assert "damaged" in str(refusal)  # noqa: PT017 - either answer is right


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"layers": "[oops"}, "metadata key 'layers' is not JSON"),
        ({"layers": '{"a": 1}'}, "must be a JSON list"),
        ({"layers": "[" * 100_000}, "is not JSON"),
        ({"layers": '["a", "b"]'}, r"'layers' names \['a', 'b'\], but the arrays are \['a'\]"),
        ({"layers": "[]"}, "'layers' names"),
        ({"layers": '["a", "a"]'}, "'layers' names"),
        ({"ids": '["p", "q"]'}, "2 ids for 5 rows"),
        ({"ids": "3"}, "must be a JSON list"),
    ],
)
def test_bad_metadata_is_named(tmp_path: Path, metadata: dict[str, str], message: str) -> None:
    save_file({"a": torch.tensor(X)}, tmp_path / "x.safetensors", metadata)
    refused(tmp_path / "x.safetensors", message)


def test_a_name_that_leads_nowhere(tmp_path: Path, noise: Callable[..., np.ndarray]) -> None:
    (tmp_path / "folder.npz").mkdir()
    np.save(tmp_path / "x.npy", noise(0))
    refused(tmp_path / "missing.npz", "there is no file")
    refused(tmp_path / "folder.npz", "there is no file")
    refused(tmp_path / "x.npy", r"must end in \.npz or \.safetensors")

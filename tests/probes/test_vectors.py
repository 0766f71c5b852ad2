"""The readers of vectors: .npz and .safetensors."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from alignment.errors import ProbeError
from alignment.probes import load_probe

X = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)


def save(path: Path, **arrays: object) -> str:
    (np.savez if path.suffix == ".npz" else lambda p, **a: save_file(a, p))(path, **arrays)
    return str(path)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_vectors_are_read(tmp_path: Path, suffix: str) -> None:
    probe = load_probe(save(tmp_path / f"p{suffix}", x=X, ids=np.arange(5, 10), target=np.arange(5) / 2, other=X[:2]))
    assert (probe.kind, probe.ids, probe.targets) == ("array", tuple("56789"), (0.0, 0.5, 1.0, 1.5, 2.0))
    assert probe.vectors["x"].dtype == np.float32
    assert (probe.vectors["x"] == X).all()


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_two_views_are_read(tmp_path: Path, suffix: str) -> None:
    probe = load_probe(save(tmp_path / f"p{suffix}", a=X, b=np.arange(10).reshape(5, 2)))
    assert probe.ids == tuple("01234")
    assert (probe.items("array", "a")[4] == X[4]).all()
    assert (probe.items("array", "b")[4] == [8.0, 9.0]).all()


def test_both_formats_have_the_same_fingerprint(tmp_path: Path) -> None:
    assert load_probe(save(tmp_path / "p.npz", x=X)).sha256 == load_probe(save(tmp_path / "p.safetensors", x=X)).sha256


def test_ids_and_labels_may_be_text(tmp_path: Path) -> None:
    probe = load_probe(save(tmp_path / "p.npz", x=X, ids=np.array(list("vwxyz")), target=np.array(list("kkkll"))))
    assert (probe.ids, probe.targets) == (tuple("vwxyz"), tuple("kkkll"))


def test_a_compressed_file_of_the_other_byte_order_is_the_same_set(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "swapped.npz", x=np.asfortranarray(X.astype(">f4")))
    assert load_probe(str(tmp_path / "swapped.npz")).sha256 == load_probe(save(tmp_path / "p.npz", x=X)).sha256


BAD = np.where(np.eye(5, 3) > 0, 1.0, 0.0)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y": X}, "has the arrays 'y'; name one 'x' for both models, or two 'a' and 'b'"),
        ({"a": X}, "has the arrays 'a'"),
        ({"x": X, "a": X, "b": X}, "has the arrays .* name one 'x' for both models, or two"),
        ({"a": X, "b": X[:4]}, "'a' has 5 rows and 'b' has 4"),
        ({"x": X[0]}, r"'x' has the shape \[3\]; it must be \[items, width\]"),
        ({"x": X[None]}, r"'x' has the shape \[1, 5, 3\]"),
        ({"x": X[:0]}, r"'x' has the shape \[0, 3\]"),
        ({"x": X[:, :0]}, r"'x' has the shape \[5, 0\]"),
        ({"x": np.where(BAD > 0, np.nan, X)}, "'x' has NaN or infinity in row 1"),
        ({"x": np.where(np.roll(BAD, 3, 0)[:, :1] > 0, -np.inf, X)}, "'x' has NaN or infinity in row 4"),
        ({"x": X, "ids": np.arange(4)}, r"'ids' has the shape \[4\]; it must be \[5\]"),
        ({"x": X, "ids": np.zeros(5, int)}, "the id '0' more than once"),
        ({"x": X, "ids": np.arange(5.0)}, "row 1: the id is of type float"),
        ({"x": X, "target": X}, r"'target' has the shape \[5, 3\]"),
        ({"x": X, "target": np.full(5, np.nan)}, "row 1: the target is nan"),
    ],
)
@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_bad_arrays_are_named(tmp_path: Path, suffix: str, arrays: dict[str, object], message: str) -> None:
    with pytest.raises(ProbeError, match=message):
        load_probe(save(tmp_path / f"p{suffix}", **arrays))


@pytest.mark.parametrize("values", [X.astype(complex), np.array([["a"]]), np.array([["2020"]], "M8[Y]")])
def test_what_is_no_number_is_refused(tmp_path: Path, values: np.ndarray) -> None:
    with pytest.raises(ProbeError, match=r"'x' is of .*; save it as float32"):
        load_probe(save(tmp_path / "p.npz", x=values))


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@pytest.mark.parametrize("data", [b"", b"\x93NUMPY", b"PK\5\6" + b"\0" * 18, b"\x80\4K\1.", b"\xff" * 64])
def test_other_bytes_are_refused(tmp_path: Path, suffix: str, data: bytes) -> None:
    (tmp_path / f"p{suffix}").write_bytes(data)
    with pytest.raises(ProbeError, match=f"is not an? (readable )?{suffix} file|has the arrays none"):
        load_probe(str(tmp_path / f"p{suffix}"))


def test_a_cut_off_file_is_refused(tmp_path: Path) -> None:
    path = Path(save(tmp_path / "p.npz", x=X))
    data = bytearray(path.read_bytes())
    data[-150] ^= 255
    data[140] ^= 255
    path.write_bytes(data)
    with pytest.raises(ProbeError, match=r"p\.npz"):
        load_probe(str(path))


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_arrays_have_no_columns(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(ProbeError, match="has arrays, so no columns can be named"):
        load_probe(save(tmp_path / f"p{suffix}", x=X), columns={"text": "x"})

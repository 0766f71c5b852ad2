"""Activations come back from a file as they were written, in either format."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from alignment.activations import Activations, Origin, read_activations, require_same_items, write_activations
from alignment.activations.files import natural
from alignment.errors import ActivationsError, WorkError

SUFFIXES = (".npz", ".safetensors")
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
Noise = Callable[..., np.ndarray]


def made(dtype: torch.dtype = torch.float32, ids: tuple[str, ...] | None = ("a", "β", "c")) -> Activations:
    values = tuple(torch.arange(3 * width).reshape(3, width).to(dtype) / 7 for width in (2, 5, 1))
    return Activations(("layer.10", "layer.2", "embeddings"), values, ids, Origin("fake:x", "0"))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("ids", [None, ("a", "β", "c"), ("0", "1", "2")])
def test_what_is_written_is_read(tmp_path: Path, suffix: str, dtype: torch.dtype, ids: tuple[str, ...] | None) -> None:
    path, given_ = tmp_path / f"x{suffix}", made(dtype, ids)
    if (suffix, dtype) == (".npz", torch.bfloat16):
        with pytest.raises(ActivationsError, match=r"holds no bfloat16; write \.safetensors"):
            write_activations(given_, path)
        assert list(tmp_path.iterdir()) == []
        return
    write_activations(given_, path)
    read = read_activations(path)
    assert (read.layers, read.ids) == (given_.layers, given_.ids)  # the order given, not the natural one
    assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(read.values, given_.values, strict=True))
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert read.origin.reference == f"features:{path}"


def test_both_formats_have_one_fingerprint_that_content_decides(tmp_path: Path) -> None:
    prints = set()
    for number, activations in enumerate((made(), made(ids=None), made(torch.float64))):
        both = set()
        for suffix in SUFFIXES:
            write_activations(activations, tmp_path / f"{number}{suffix}")
            both.add(read_activations(tmp_path / f"{number}{suffix}").origin.fingerprint)
        assert len(both) == 1
        prints |= both
    assert len(prints) == 3


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint16, np.int8])
def test_integer_and_string_ids_are_equal_across_formats(tmp_path: Path, noise: Noise, dtype: type) -> None:
    x, ids = noise(0, 4), np.arange(4)
    np.savez(tmp_path / "i.npz", x=x, ids=ids.astype(dtype))
    np.savez(tmp_path / "s.npz", x=x, ids=ids.astype(str))
    save_file({"x": torch.tensor(x), "ids": torch.tensor(ids.astype(dtype))}, tmp_path / "i.safetensors")
    save_file({"x": torch.tensor(x)}, tmp_path / "s.safetensors", {"ids": json.dumps([0, 1, 2, 3])})
    read = [read_activations(path) for path in sorted(tmp_path.iterdir())]
    assert {side.ids for side in read} == {("0", "1", "2", "3")}
    for side in read:
        require_same_items(read[0], side)


def test_layers_come_in_natural_order_unless_the_file_says_otherwise(tmp_path: Path, noise: Noise) -> None:
    names = ["layer.10", "layer.2", "embeddings", "layer.1.mlp"]
    arrays = {name: noise(i, 3) for i, name in enumerate(names)}
    np.savez(tmp_path / "plain.npz", **arrays)
    np.savez(tmp_path / "list.npz", **arrays, layers=np.array(names))
    np.savez(tmp_path / "text.npz", **arrays, layers=np.array(json.dumps(names)))
    save_file(
        {k: torch.tensor(v) for k, v in arrays.items()}, tmp_path / "key.safetensors", {"layers": json.dumps(names)}
    )
    plain = read_activations(tmp_path / "plain.npz")
    assert plain.layers == ("embeddings", "layer.1.mlp", "layer.2", "layer.10")
    assert torch.equal(plain.values[3], torch.tensor(arrays["layer.10"]))
    for name in ("list.npz", "text.npz", "key.safetensors"):
        read = read_activations(tmp_path / name)
        assert read.layers == tuple(names)
        assert all(torch.equal(v, torch.tensor(arrays[n])) for n, v in zip(read.layers, read.values, strict=True))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(max_size=6), unique=True, max_size=6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_natural_order_takes_any_name_and_counts(names: list[str], low: int, high: int) -> None:
    assert sorted(sorted(names, key=natural), key=natural) == sorted(reversed(names), key=natural)
    assert (natural(f"layer.{low}") < natural(f"layer.{high}")) == (low < high)


def test_other_byte_orders_and_memory_layouts_are_the_same_numbers(tmp_path: Path, noise: Noise) -> None:
    x = noise(0)
    np.savez(tmp_path / "native.npz", x=x)
    np.savez_compressed(tmp_path / "swapped.npz", x=np.asfortranarray(x.astype(">f4")))
    native, swapped = (read_activations(tmp_path / name) for name in ("native.npz", "swapped.npz"))
    assert torch.equal(native.values[0], swapped.values[0])
    assert native.origin.fingerprint == swapped.origin.fingerprint


def test_a_file_that_was_there_is_replaced_whole_or_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(b"before")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", full)
        with pytest.raises(WorkError, match=r"x\.npz could not be written .*No space left.*free some space"):
            write_activations(made(), path)
    assert [entry.read_bytes() for entry in tmp_path.iterdir()] == [b"before"]
    write_activations(made(), path)
    assert zipfile.is_zipfile(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [("x.npy", "must end in"), ("x", "must end in"), ("no/x.npz", "there is no folder"), ("d.npz", "it is a folder")],
)
def test_where_nothing_can_be_written_is_said(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "d.npz").mkdir()
    with pytest.raises(ActivationsError, match=message):
        write_activations(made(), tmp_path / name)


@pytest.mark.parametrize("name", ["ids", "layers"])
def test_a_layer_cannot_have_a_name_that_the_file_uses(tmp_path: Path, name: str) -> None:
    with pytest.raises(ActivationsError, match="a layer cannot be called"):
        write_activations(Activations((name,), (torch.ones(2, 2),), None, Origin("x", "0")), tmp_path / "x.npz")

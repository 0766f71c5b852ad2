"""The store gives back what was put in, to the bit, or nothing."""

import logging
import shutil
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from alignment.activations import Activations, Origin
from alignment.errors import RequestError, StoreFullError, UnknownNameError
from alignment.extraction import ActivationStore, Facts, entry
from alignment.models import Layer
from tests.extraction.store_support import FACTS, key, made, same, store


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_numbers_come_back_bit_for_bit(tmp_path: Path, dtype: torch.dtype) -> None:
    put = made(dtype=dtype)
    put.values[0][0, :4] = torch.tensor([torch.nan, torch.inf, -0.0, 5e-8], dtype=dtype)
    store(tmp_path).write(key(), put, FACTS)
    found = store(tmp_path).read(key())
    assert found is not None
    assert (found.layers, found.ids, found.origin) == (put.layers, put.ids, put.origin)
    for a, b in zip(found.values, put.values, strict=True):
        assert a.dtype == b.dtype
        assert torch.equal(a.view(torch.uint8), b.contiguous().view(torch.uint8))


def test_what_is_known_beside_the_numbers_comes_back(tmp_path: Path) -> None:
    store(tmp_path).write(key(), replace(made(), ids=None), FACTS)
    found = store(tmp_path).find(key())
    assert found is not None
    assert (found.facts, found.load().ids) == (FACTS, None)


def test_another_key_is_another_entry(tmp_path: Path) -> None:
    store(tmp_path).write(key(), made(), FACTS)
    others = {"items": "j", "view": "b", "pooling": "cls", "dtype": "float16", "device": "cpu", "code": "{1}"}
    for name, value in {**others, "name": "other"}.items():
        assert store(tmp_path).read(key(**{name: value})) is None


def test_fewer_layers_are_answered_from_all_and_only_their_files_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = store(tmp_path)
    kept.write(key(), made(), FACTS)
    read: list[str] = []
    shard = entry._read_shard

    def watched(file: Path, sha256: str) -> torch.Tensor:
        read.append(file.name[:3])
        return shard(file, sha256)

    monkeypatch.setattr(entry, "_read_shard", watched)
    assert same(kept.read(key(layers="last")), made().select("last"))
    assert same(kept.read(key(layers=("layer.1", 0))), made().select(("layer.1", 0)))
    assert set(read) == {"000", "001", "002"}
    assert read == ["002"] * 4 + ["001"] * 4 + ["000"] * 4
    with pytest.raises(UnknownNameError):
        kept.read(key(layers=("layer.7",)))
    with pytest.raises(RequestError):
        kept.read(key(layers=(3,)))


def test_an_entry_of_some_layers_is_not_counted_in_anew(tmp_path: Path) -> None:
    some = key(layers=(2, 1))
    store(tmp_path).write(some, made().select((2, 1)), FACTS)
    assert same(store(tmp_path).read(some), made().select((2, 1)))
    assert store(tmp_path).read(key()) is None
    assert store(tmp_path).read(key(layers=(2,))) is None


def damage(what: str, folder: Path) -> None:
    shards, manifest = sorted(folder.glob("*.safetensors")), folder / "manifest.json"
    if what == "shard cut short":
        shards[1].write_bytes(shards[1].read_bytes()[:-1])
    elif what == "shard emptied":
        shards[0].write_bytes(b"")
    elif what == "shard missing":
        shards[-1].unlink()
    elif what == "shards swapped":
        data = shards[0].read_bytes()
        shards[0].write_bytes(shards[1].read_bytes())
        shards[1].write_bytes(data)
    elif what == "shard longer":
        shards[0].write_bytes(shards[0].read_bytes() + b"\0")
    elif what == "manifest missing":
        manifest.unlink()
    elif what == "manifest cut short":
        manifest.write_bytes(manifest.read_bytes()[:-9])
    elif what == "manifest emptied":
        manifest.write_bytes(b"")
    elif what == "manifest is another thing":
        manifest.write_text("[1]")
    elif what == "an id changed":
        manifest.write_text(manifest.read_text().replace("item 3", "item 4"))
    elif what == "everything missing":
        for file in folder.iterdir():
            file.unlink()


DAMAGES = (
    "shard cut short",
    "shard emptied",
    "shard missing",
    "shards swapped",
    "shard longer",
    "manifest missing",
    "manifest cut short",
    "manifest emptied",
    "manifest is another thing",
    "an id changed",
    "everything missing",
)


@pytest.mark.parametrize("what", DAMAGES)
def test_what_is_damaged_counts_as_absent_says_so_and_can_be_written_anew(
    tmp_path: Path, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    kept = store(tmp_path)
    kept.write(key(), made(), FACTS)
    damage(what, next(kept.entries.glob("*/*")))
    with caplog.at_level(logging.WARNING, "accord.store"):
        assert kept.read(key()) is None
    assert "are damaged and count as absent" in caplog.text
    assert not list(kept.entries.glob("*/*"))
    kept.write(key(), made(), FACTS)
    assert same(kept.read(key()), made())


def test_one_flipped_bit_anywhere_is_noticed(tmp_path: Path) -> None:
    kept = store(tmp_path / "good")
    kept.write(key(), made(items=3), FACTS)
    folder = next(kept.entries.glob("*/*"))
    places = [(file.name, at) for file in folder.iterdir() for at in range(0, file.stat().st_size, 97)]
    assert len(places) > 10
    for number, (name, at) in enumerate(places):
        copy = tmp_path / str(number)
        shutil.copytree(kept.entries.parent, copy)
        file = next(copy.glob(f"entries/*/*/{name}"))
        data = bytearray(file.read_bytes())
        data[at] ^= 1 << (number % 8)
        file.write_bytes(data)
        assert store(copy).read(key()) is None, (name, at)


def test_a_damaged_entry_in_the_way_of_a_writer_gives_way(tmp_path: Path) -> None:
    kept = store(tmp_path)
    kept.write(key(), made(), FACTS)
    damage("manifest missing", next(kept.entries.glob("*/*")))
    kept.write(key(), made(), FACTS)
    assert same(kept.read(key()), made())
    assert not list(kept.drafts.iterdir())


def test_it_vanishes_under_a_reader(tmp_path: Path) -> None:
    kept = store(tmp_path)
    kept.write(key(), made(), FACTS)
    found = kept.find(key())
    assert found is not None
    kept.remove(found.folder)
    assert kept.load(found, "all") is None
    kept.remove(found.folder)  # a second time changes nothing


@pytest.mark.parametrize("at", [0, 3, 12])
def test_a_full_disk_leaves_nothing_and_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    write, count = entry.write_file, 0

    def filling(path: Path, data: bytes) -> None:
        nonlocal count
        if count == at:
            path.write_bytes(data[: len(data) // 2])
            raise OSError(28, "No space left on device")
        count += 1
        write(path, data)

    monkeypatch.setattr(entry, "write_file", filling)
    kept = store(tmp_path)
    with pytest.raises(StoreFullError, match="ACCORD_STORE_MIB"):
        kept.write(key(), made(), FACTS)
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]
    assert kept.read(key()) is None


def test_a_disk_that_is_really_full(tiny_disk: Callable[[int], Path]) -> None:
    kept = ActivationStore(tiny_disk(256 << 10))
    big = made(items=4000)
    with pytest.raises(StoreFullError):
        kept.write(key(), big, FACTS)
    assert not list(kept.drafts.iterdir())


def test_beside_the_activations_it_takes_the_memory_of_a_few_files(tmp_path: Path) -> None:
    shard, items = 1 << 18, 1 << 13
    values = tuple(torch.ones(items, 256) for _ in range(4))  # 8 MiB each
    wide = Activations(tuple("abcd"), values, None, Origin("m", "0"))
    kept = ActivationStore(tmp_path, shard_bytes=shard)
    facts = Facts(tuple(Layer(name, 256) for name in "abcd"), "float32", "cpu")
    tracemalloc.start()
    kept.write(key(), wide, facts)
    written = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    assert kept.read(key()) is not None
    read = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert written < 4 * shard
    assert read < 4 * shard

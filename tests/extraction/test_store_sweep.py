"""The store stays within its size: the least recently used goes first."""

import os
import time
from pathlib import Path

import pytest

from alignment.extraction import ActivationStore, sweep
from tests.extraction.store_support import FACTS, key, made, same, store


def size(kept: ActivationStore) -> int:
    return sum(file.stat().st_size for file in kept.entries.rglob("*") if file.is_file())


@pytest.fixture
def four(tmp_path: Path) -> ActivationStore:
    """Entries 0 to 3, the first used longest ago."""
    kept = store(tmp_path)
    for number in range(4):
        kept.write(key(str(number)), made(number), FACTS)
        age(kept, number, 10_000 - number)
    return kept


def age(kept: ActivationStore, number: int, seconds: float) -> None:
    manifest = kept._home(key(str(number))) / "manifest.json"
    os.utime(manifest, (time.time() - seconds,) * 2)


def left(kept: ActivationStore) -> set[int]:
    return {number for number in range(4) if kept._home(key(str(number))).exists()}


def test_the_least_recently_used_goes_first(four: ActivationStore) -> None:
    whole = size(four)
    swept = sweep(four, whole // 2 + 100)
    assert left(four) == {2, 3}
    assert (swept.entries, swept.freed + swept.kept) == (2, whole)
    assert swept.kept == size(four)


def test_reading_is_using(four: ActivationStore) -> None:
    assert same(four.read(key("0")), made(0))
    sweep(four, size(four) // 4 + 100)
    assert left(four) == {0}


def test_what_was_used_just_now_stays_whatever_the_size(four: ActivationStore) -> None:
    age(four, 1, 60)
    assert sweep(four, 0, grace=600).entries == 3
    assert left(four) == {1}
    assert sweep(four, 0, grace=30).entries == 1


def test_within_its_size_nothing_goes(four: ActivationStore) -> None:
    assert sweep(four, size(four)).entries == 0
    assert left(four) == {0, 1, 2, 3}


def test_of_an_empty_store_nothing_goes(tmp_path: Path) -> None:
    assert sweep(ActivationStore(tmp_path / "never made"), 0).entries == 0


def test_a_draft_that_is_being_written_stays(four: ActivationStore) -> None:
    old, young = four.drafts / "old", four.drafts / "young"
    for folder, seconds in ((old, 9000), (young, 5)):
        folder.mkdir()
        file = folder / "000-0000.safetensors"
        file.write_bytes(b"0")
        for path in (file, folder):
            os.utime(path, (time.time() - seconds,) * 2)
    os.utime(young, (time.time() - 9000,) * 2)  # its newest file says that its writer lives
    assert sweep(four, 1 << 30, stale=3600).leftovers == 1
    assert [draft.name for draft in four.drafts.iterdir()] == ["young"]

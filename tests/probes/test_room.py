"""Downloads that begin at once stay within what a folder may have, and one that breaks off leaves nothing for long."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import huggingface_hub
import pytest

from alignment.errors import CacheFullError, HubUnreachableError, ProbeError
from alignment.hub import HuggingFaceDatasets
from alignment.hub.kept import bytes_of, sweep
from alignment.hub.room import room
from tests.hub import HubServer
from tests.probes.test_kept import age

MIB = 1 << 20
SETS, FIT = 6, 2  # of a mebibyte each


@pytest.fixture
def hub(server: HubServer, tmp_path: Path) -> HuggingFaceDatasets:
    return HuggingFaceDatasets(server.url, tmp_path, most=FIT * MIB + MIB // 2)


def fetch(server: HubServer, hub: HuggingFaceDatasets, name: str, size: int = MIB) -> str:
    commit = server.dataset(name).push({"train.txt": b"x" * size})
    try:
        hub.fetch(name, commit, {"train.txt": size})
    except CacheFullError:
        return "full"
    return "here"


def coming(folder: Path) -> list[Path]:
    return list(folder.glob(".coming-*"))


def test_of_many_at_once_as_many_come_as_fit(server: HubServer, hub: HuggingFaceDatasets, tmp_path: Path) -> None:
    with ThreadPoolExecutor(SETS) as pool:
        found = Counter(pool.map(lambda number: fetch(server, hub, f"org/n{number}"), range(SETS)))
    assert found == {"here": FIT, "full": SETS - FIT}
    assert FIT * MIB <= bytes_of(tmp_path) <= FIT * MIB + MIB // 2
    assert coming(tmp_path) == []
    age(tmp_path)  # an hour later
    assert fetch(server, hub, "org/later") == "here"
    assert bytes_of(tmp_path) <= FIT * MIB + MIB // 2


def test_what_comes_is_counted_whole_and_what_was_killed_not_at_all(tmp_path: Path) -> None:
    place = tmp_path / "datasets--org--a" / ("a" * 40) / ("b" * 64)
    with room(tmp_path, place, 2 * MIB, 3 * MIB):
        place.mkdir(parents=True)
        (place / "half").write_bytes(b"x" * MIB)
        with (
            pytest.raises(CacheFullError, match="ACCORD_DATASETS_MIB"),
            room(tmp_path, tmp_path / "o", MIB + 1, 3 * MIB),
        ):
            pass
        with room(tmp_path, tmp_path / "o", MIB - 1000, 3 * MIB):
            assert len(coming(tmp_path)) == 2
    (tmp_path / ".coming-dead").write_text('{"bytes": 99999999, "place": "x"}')  # nobody holds it
    with room(tmp_path, tmp_path / "o", 2 * MIB - 1000, 3 * MIB):
        assert len(coming(tmp_path)) == 1


def test_what_never_fits_is_refused(server: HubServer, hub: HuggingFaceDatasets) -> None:
    with pytest.raises(ProbeError, match=r"3\.0 MiB and no more than 2\.5 are kept"):
        fetch(server, hub, "org/large", 3 * MIB)


def test_a_download_that_breaks_off_leaves_no_room_taken_and_nothing_for_long(
    server: HubServer, hub: HuggingFaceDatasets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"a.txt": 1000, "b.txt": 1000}
    commit = server.dataset("org/two").push({path: b"x" * size for path, size in files.items()})
    real = huggingface_hub.hf_hub_download

    def download(name: str, path: str, **options: object) -> str:
        if path == "b.txt":
            raise ConnectionError
        return str(real(name, path, **options))

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    with pytest.raises(HubUnreachableError):
        hub.fetch("org/two", commit, files)
    assert coming(tmp_path) == []
    age(tmp_path)
    sweep(tmp_path, MIB)
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size] == []
    monkeypatch.undo()
    folder = hub.fetch("org/two", commit, files)
    assert {path.name for path in folder.glob("*.txt")} == set(files)

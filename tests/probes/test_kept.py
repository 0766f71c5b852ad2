"""Data sets of the hub are kept within a size: the least recently used go, and come again at their commit."""

import json
import os
from pathlib import Path

import pytest

from alignment.hub import HuggingFaceDatasets
from alignment.hub.kept import Swept, sweep
from alignment.probes import load_probe
from tests.hub import HubServer


@pytest.fixture
def hub(server: HubServer, tmp_path: Path) -> HuggingFaceDatasets:
    return HuggingFaceDatasets(server.url, tmp_path)


def push(server: HubServer, name: str, text: str) -> None:
    server.dataset(name).push({"train.jsonl": (json.dumps({"text": text}) + "\n").encode()})


def age(folder: Path, when: float = 1.0) -> None:
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (when, when))


def kept(folder: Path) -> set[str]:
    return {path.relative_to(folder).parts[0] for path in folder.rglob("train.jsonl")}


def test_the_least_recently_used_go_first(server: HubServer, hub: HuggingFaceDatasets, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        push(server, f"org/{name}", name)
        load_probe(f"hf:org/{name}", datasets=hub)
    assert sweep(tmp_path, 0).datasets == 0  # they were used within the hour
    for when, name in enumerate(("c", "a", "b"), start=1):
        age(tmp_path / f"datasets--org--{name}", when)
    load_probe("hf:org/c", datasets=hub)  # which needs no download, and is a use
    whole = sweep(tmp_path, 1 << 30)
    assert (whole.datasets, whole.freed, len(kept(tmp_path))) == (0, 0, 3)
    one = sweep(tmp_path, whole.kept - 1)
    assert (one.datasets, one.freed + one.kept) == (1, whole.kept)
    assert kept(tmp_path) == {"datasets--org--b", "datasets--org--c"}
    sweep(tmp_path, 0)
    assert kept(tmp_path) == {"datasets--org--c"}


def test_what_went_comes_again_at_its_commit(server: HubServer, hub: HuggingFaceDatasets, tmp_path: Path) -> None:
    push(server, "org/texts", "first")
    probe = load_probe("hf:org/texts", datasets=hub)
    push(server, "org/texts", "second")
    age(tmp_path)
    assert sweep(tmp_path, 0).datasets == 1
    server.asked.clear()
    again = load_probe(probe.name, datasets=hub)
    assert (again.texts, again.sha256) == (("first",), probe.sha256)
    assert [path for path in server.asked if "/resolve/" in path]


def test_what_killed_downloads_left_goes(server: HubServer, hub: HuggingFaceDatasets, tmp_path: Path) -> None:
    push(server, "org/texts", "a")
    load_probe("hf:org/texts", datasets=hub)
    (commit,) = (path for path in tmp_path.glob("*/*") if len(path.name) == 40)
    begun = commit / ("d" * 64)
    (folder,) = (path for path in commit.glob("*") if len(path.name) == 64 and path.is_dir())
    dead = [begun / ".cache" / "x.incomplete", folder / ".cache" / "y.incomplete", commit / ".draft-z" / "f.json"]
    for path in (*dead, tmp_path / ".gone-1" / "train.csv"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    assert sweep(tmp_path, 1 << 30).leftovers == 1  # what is half taken away; the others may be under way
    age(tmp_path)
    swept = sweep(tmp_path, 1 << 30)
    assert (swept.datasets, swept.leftovers >= 3) == (0, True)
    assert not [path for path in (*dead, begun) if path.exists()]
    assert kept(tmp_path) == {"datasets--org--texts"}


def test_a_folder_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert sweep(tmp_path / "none", 0) == Swept(0, 0, 0, 0)

"""What a reference stands for, found without loading a model."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from alignment.errors import ModelError, UnknownNameError
from alignment.models import FakeHub, builtin_models, identify, identity
from alignment.references import ModelRef

NO_HUB = FakeHub({})


@pytest.fixture
def folder(text_folder: Callable[..., Path], tmp_path: Path) -> Path:
    copied = tmp_path / "model"
    shutil.copytree(text_folder("bert"), copied)
    for file in copied.iterdir():
        os.utime(file, (time.time() - 100,) * 2)
    return copied


def of(folder: Path, digests: Path | None = None) -> str:
    return identify(ModelRef("path", str(folder)), NO_HUB, digests).content


def test_folders_of_equal_content_are_one_model(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    assert of(folder) == of(tmp_path / "copy")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_any_file_that_is_read_counts(folder: Path, name: str) -> None:
    before = of(folder)
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data.replace(b"w1", b"v1") if b"w1" in data else data + b" ")
    assert of(folder) != before


def test_a_pickle_beside_the_weights_does_not(folder: Path) -> None:
    before = of(folder)
    (folder / "optimizer.pt").write_bytes(b"anything")
    assert of(folder) == before


def test_an_unchanged_file_is_hashed_once(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "_SETTLED", -1)
    digests = tmp_path / "digests"
    before = of(folder, digests)
    opened: list[str] = []
    open_ = Path.open

    def watched(self: Path, *args, **more):
        opened.append(self.name)
        return open_(self, *args, **more)

    monkeypatch.setattr(Path, "open", watched)
    assert of(folder, digests) == before
    assert "model.safetensors" not in opened
    os.utime(folder / "model.safetensors")
    assert of(folder, digests) == before
    assert "model.safetensors" in opened


def test_a_file_of_this_moment_is_hashed_again(folder: Path, tmp_path: Path) -> None:
    digests = tmp_path / "digests"
    of(folder, digests)  # copied just now: its times might not tell a change in the same tick
    assert not digests.exists()


def test_a_damaged_hash_is_made_anew(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "_SETTLED", -1)
    before = of(folder, tmp_path / "digests")
    for kept in (tmp_path / "digests").iterdir():
        kept.write_text("{")
    assert of(folder, tmp_path / "digests") == before


def test_a_hub_model_is_its_commit(folder: Path) -> None:
    hub = FakeHub({"org/tiny": {"main": folder}})
    found = identify(ModelRef.parse("hf:org/tiny"), hub)
    assert found.content == str(found.ref) == f"hf:org/tiny@{hub.commit('org/tiny', None)}"
    assert hub.downloads == []


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such folder"):
        of(tmp_path / "gone")
    with pytest.raises(UnknownNameError):
        identify(ModelRef.parse("builtin:minilm-l7"), NO_HUB)
    with pytest.raises(ModelError, match="no model to identify"):
        identify(ModelRef.parse("features:x.npz"), NO_HUB)


@pytest.mark.weights
def test_built_in_models_have_identities_of_their_own() -> None:
    found = {identify(ModelRef("builtin", model.name), NO_HUB).content for model in builtin_models()}
    assert len(found) == len(builtin_models())

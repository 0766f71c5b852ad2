"""What goes wrong names the stage and the model, and no path of the server."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from alignment.errors import StoreFullError
from alignment.extraction import ActivationStore
from app.jobs.child import OUTAGE, _explain
from tests.scoring.conftest import Desk

Check = Callable[..., None]


@pytest.fixture
def good(desk: Desk, folders: dict[str, Path]) -> dict[str, object]:
    return desk.side(f"path:{folders['gpt2']}", "good")


def test_a_folder_that_is_gone(desk: Desk, good: dict[str, object], tmp_path: Path, no_leak: Check) -> None:
    row = desk.compare(good, desk.side(f"path:{tmp_path / 'gone'}", "my model"))
    assert row["state"] == "failed"
    assert row["error"]["model"] == "my model"
    assert row["error"]["detail"].startswith("my model: there is no such folder")
    no_leak(row)


def test_weights_that_cannot_be_read(
    desk: Desk, good: dict[str, object], folders: dict[str, Path], tmp_path: Path, no_leak: Check
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in folders["bert"].iterdir():
        (broken / file.name).write_bytes(file.read_bytes()[: 100 if file.suffix == ".safetensors" else None])
    row = desk.compare(good, desk.side(f"path:{broken}", "my model"))
    assert (row["state"], row["error"]["stage"], row["error"]["model"]) == ("failed", "extract_b", "my model")
    assert "my model" in row["error"]["detail"]
    no_leak(row)


def test_a_model_that_takes_something_else(
    desk: Desk, good: dict[str, object], image_folder: Callable[[str], Path], no_leak: Check
) -> None:
    row = desk.compare(desk.side(f"path:{image_folder('resnet')}", "eye"), good)
    assert (row["error"]["stage"], row["error"]["model"]) == ("extract_a", "eye")
    assert "'my texts' has text but the model takes image" in row["error"]["detail"]
    no_leak(row)


def test_an_unknown_layer(desk: Desk, good: dict[str, object], folders: dict[str, Path], no_leak: Check) -> None:
    row = desk.compare(good, desk.side(f"path:{folders['bert']}", "my model", layers=["layer.9"]))
    assert (row["error"]["stage"], row["error"]["model"]) == ("extract_b", "my model")
    assert "no layer 'layer.9'" in row["error"]["detail"]
    no_leak(row)


def test_a_file_of_activations_of_other_items(
    desk: Desk, good: dict[str, object], tmp_path: Path, no_leak: Check
) -> None:
    file = tmp_path / "few.npz"
    np.savez(file, x=np.ones((3, 2), np.float32))
    row = desk.compare(desk.side(f"features:{file}", "mine"), good)
    assert row["error"]["model"] == "mine"
    assert row["error"]["detail"].startswith("mine has 3 rows and no ids, and probe set 'my texts' has 40 items")
    no_leak(row)


def test_a_gpu_where_there_is_none(desk: Desk, good: dict[str, object]) -> None:
    row = desk.compare(good, good, device="cuda")
    assert row["state"] == "failed"
    assert "no worker with a GPU took it" in row["error"]["detail"]


def test_a_probe_set_that_changed(desk: Desk, good: dict[str, object], no_leak: Check) -> None:
    payload = desk.payload(a=good, b=good)
    Path(desk.probe).write_text("other\nitems\n")
    row = desk.end(desk.ask("comparison", payload))
    assert "probe set 'my texts' holds other items than when it was registered" in row["error"]["detail"]
    no_leak(row)


def test_a_full_store_is_an_outage(
    desk: Desk, good: dict[str, object], monkeypatch: pytest.MonkeyPatch, folders: dict[str, Path]
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("alignment.extraction.store.write_entry", full)
    desk.ask("comparison", desk.payload(a=good, b=good))
    with pytest.raises(StoreFullError) as raised:
        desk.service.work_off()
    assert _explain(raised.value)[0] == OUTAGE
    assert not list(ActivationStore(desk.store.entries.parent).drafts.iterdir())

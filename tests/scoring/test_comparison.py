"""The work of a comparison: the science's own numbers, from activations that are made once."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from alignment.comparison import compare
from alignment.models import FakeHub
from app.scoring import extraction, work
from app.storage.tables import jobs
from tests.scoring.conftest import Desk


def test_its_numbers_are_those_of_compare_to_the_last_bit(
    desk: Desk, folders: dict[str, Path], no_leak: Callable[..., None]
) -> None:
    a, b = f"path:{folders['bert']}", f"path:{folders['gpt2']}"
    row = desk.compare(desk.side(a, "first"), desk.side(b, "second"))
    direct = compare(desk.request(a, b)).to_dict()
    assert row["state"] == "succeeded", row["error"]
    found: dict[str, Any] = row["result"]
    assert {**found, "provenance": None} == {**direct, "provenance": None}
    for name in ("probe_sha256", "items_sha256", "device", "dtype", "versions", "seed", "limits"):
        assert found["provenance"][name] == direct["provenance"][name]
    for side, name in (("model_a", "first"), ("model_b", "second")):
        told = found["provenance"][side]
        assert told["fingerprint"] == direct["provenance"][side]["fingerprint"]
        assert (told["id"], told["name"], told["reference"]) == (f"mdl_{name}", name, f"path:{name}")
    assert found["provenance"]["request"] == {"as": "shown"}
    no_leak(row)


def test_a_second_comparison_runs_no_model(desk: Desk, folders: dict[str, Path]) -> None:
    a, b = desk.side(f"path:{folders['bert']}", "a"), desk.side(f"path:{folders['gpt2']}", "b")
    first = desk.compare(a, b)
    assert (desk.count("accord_forward_items"), desk.count("accord_activations_made")) == (64, 2)
    again = desk.compare(b, a, request={"as": "asked again"})
    last = desk.compare({**a, "layers": "last"}, {**b, "layers": [0, "layer.1"]})
    assert (desk.count("accord_forward_items"), desk.count("accord_activations_found")) == (64, 4)
    assert again["parks"] == last["parks"] == 0
    assert last["result"]["layers_b"] == ["embeddings", "layer.1"]
    grid = first["result"]["metrics"][1]["grid"]
    assert last["result"]["metrics"][1]["grid"][0][0] == grid[-1][0]


def test_two_comparisons_share_one_extraction_whatever_their_teams(desk: Desk, folders: dict[str, Path]) -> None:
    a, b, c = (desk.side(f"path:{folders[name]}", name) for name in ("bert", "gpt2", "distilbert"))
    asked = [
        desk.ask("comparison", desk.payload(a=a, b=b)),
        desk.ask("comparison", desk.payload(a=c, b={**a, "id": "mdl_theirs", "name": "theirs"}), team="tea_2"),
    ]
    desk.service.work_off()
    ends = [desk.end(job_id) for job_id in asked]
    assert [row["state"] for row in ends] == ["succeeded", "succeeded"]
    assert desk.count("accord_forward_items") == 3 * 32
    assert ends[1]["result"]["provenance"]["model_b"]["name"] == "theirs"
    with desk.service.database.read() as connection:
        parts = connection.execute(sa.select(sa.func.count()).where(jobs.c.kind == "extraction")).scalar_one()
    assert parts == 3


def test_a_model_against_itself_is_run_once(desk: Desk, folders: dict[str, Path]) -> None:
    side = desk.side(f"path:{folders['bert']}", "me")
    row = desk.compare(side, side)
    assert desk.count("accord_forward_items") == 32
    assert row["result"]["metrics"][0]["best"]["score"] == 1.0


def test_a_folder_is_its_content(desk: Desk, folders: dict[str, Path], tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folders["bert"], copy)
    other = desk.side(f"path:{folders['gpt2']}", "b")
    desk.compare(desk.side(f"path:{folders['bert']}", "a"), other)
    desk.compare(desk.side(f"path:{copy}", "copy"), other)
    assert desk.count("accord_forward_items") == 64
    tokens = (copy / "tokenizer.json").read_text()
    (copy / "tokenizer.json").write_text(tokens.replace('"w10"', '"v10"'))
    desk.compare(desk.side(f"path:{copy}", "copy"), other)
    assert desk.count("accord_forward_items") == 96


def test_a_damaged_entry_is_extracted_anew_and_the_log_says_so(
    desk: Desk, folders: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    a, b = desk.side(f"path:{folders['bert']}", "a"), desk.side(f"path:{folders['gpt2']}", "b")
    first = desk.compare(a, b)
    shard = next(desk.store.entries.glob("*/*/*.safetensors"))
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    again = desk.compare(a, b)
    assert again["result"] == first["result"]
    assert desk.count("accord_forward_items") == 96
    assert "damaged" in caplog.text


def test_files_of_activations_need_no_extraction(
    desk: Desk, folders: dict[str, Path], tmp_path: Path, no_leak: Callable[..., None]
) -> None:
    file = tmp_path / "upl_1" / "acts.npz"
    file.parent.mkdir()
    np.savez(file, **{"layer.0": np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)})
    a, b = desk.side(f"features:{file}", "mine"), desk.side(f"path:{folders['bert']}", "theirs")
    desk.register(a)
    row = desk.compare(a, b)
    assert row["result"]["metrics"] == compare(desk.request(a["reference"], b["reference"])).to_dict()["metrics"]
    assert row["result"]["provenance"]["model_a"]["reference"] == "features:mine"
    assert desk.count("accord_forward_items") == 32
    assert desk.model(a)["layers"] == [{"name": "layer.0", "width": 5}]
    no_leak(row)


def test_what_is_known_of_a_model_is_kept_in_its_row(desk: Desk, folders: dict[str, Path]) -> None:
    a, b = desk.side(f"path:{folders['bert']}", "a", layers="last"), desk.side(f"path:{folders['gpt2']}", "b")
    desk.register(a)
    row = desk.compare(a, b)
    model = desk.model(a)
    assert model["layers"] == [{"name": name, "width": 16} for name in ("embeddings", "layer.0", "layer.1")]
    assert (model["modality"], model["fingerprint"]) == ("text", row["result"]["provenance"]["model_a"]["fingerprint"])
    assert model["parameters"] > 0
    assert "figures" not in row["result"]


def test_a_branch_is_followed_and_the_result_says_which_commit(
    desk: Desk, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    branches = {"main": folders["bert"]}
    hub = FakeHub({"org/tiny": branches})
    for module in (extraction, work):
        monkeypatch.setattr(module, "hub_of", lambda settings: hub)
    a, b = desk.side("hf:org/tiny", "moving"), desk.side(f"path:{folders['gpt2']}", "b")
    seen = []
    for family in ("bert", "bert", "distilbert"):
        branches["main"] = folders[family]
        seen.append(desk.compare(a, b)["result"]["provenance"]["model_a"]["reference"])
    assert seen[0] == seen[1]
    assert seen[0].startswith("hf:org/tiny@")
    assert seen[2] != seen[0]
    assert len(hub.downloads) == 2


def test_fewer_items_than_asked_for_is_a_warning(desk: Desk, folders: dict[str, Path]) -> None:
    side = desk.side(f"path:{folders['bert']}", "me")
    row = desk.compare(side, side, samples=1000)
    assert row["result"]["samples"] == 40
    assert row["result"]["warnings"][0]["code"] == "fewer_samples"


def test_a_second_comparison_does_not_even_read_the_probe_set(desk: Desk, folders: dict[str, Path]) -> None:
    a, b = desk.side(f"path:{folders['bert']}", "a"), desk.side(f"path:{folders['gpt2']}", "b")
    payload = desk.payload(a=a, b=b)
    first = desk.end(desk.ask("comparison", payload))
    Path(desk.probe).unlink()
    again = desk.end(desk.ask("comparison", payload))
    assert again["result"] == first["result"]


def test_a_damaged_note_of_what_was_drawn_is_made_anew(desk: Desk, folders: dict[str, Path]) -> None:
    a, b = desk.side(f"path:{folders['bert']}", "a"), desk.side(f"path:{folders['gpt2']}", "b")
    first = desk.compare(a, b)
    (note,) = desk.store.draws.folder.iterdir()
    good = note.read_text()
    for bad in ("", "{}", "[]", good[:-5], good.replace('"ids": ["', '"ids": ["1')):
        note.write_text(bad)
        assert desk.compare(a, b)["result"] == first["result"]
        assert note.read_text() == good
    assert "my texts" not in good  # the name is one team's own

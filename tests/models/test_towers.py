"""A tower's folder: what its config says is held against its weights before anything is made."""

import json

import pytest

from alignment.entropic.initial import tower_network
from alignment.errors import ModelError
from alignment.models import TowerConfig, open_own, own_files
from alignment.models.checkpoint import Checkpoint

TEXT = TowerConfig("text", 8, 2, 2, 3, alphabet="abcdefgh", length=6)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"width": True, "heads": 1}, "whole numbers above 0"),
        ({"masked": 1}, "masked is true or false, not 1"),
        ({"masked": True}, r"letters.weight is \[10, 8\], by the config \[11, 8\]"),
        ({"width": 10**6}, r"not those of its config.json \(places is \[1, 6, 8\], by the config \[1, 6, 1000000\]\)"),
        ({"width": 10**30}, "no tower of 2 blocks of width 1000"),
        ({"blocks": 10**5}, "no tower of 100000 blocks of width 8"),
        ({"blocks": 3}, r"blocks.2.* is nothing"),
        ({"length": 10**9}, "no tower of 2 blocks"),
        ({"outputs": 10**6}, r"head.weight is \[3, 8\], by the config \[1000000, 8\]"),
    ],
)
def test_a_towers_config_is_checked_before_room_is_made_for_it(
    change: dict, match: str, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, content in own_files(tower_network(TEXT, 3, "a")).items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "config.json").write_text(json.dumps({**TEXT.to_dict(), **change}))
    monkeypatch.setattr(Checkpoint, "tensors", None)  # nothing is read, either
    with pytest.raises(ModelError, match=match):
        open_own(tmp_path, "it")


def test_a_tower_from_before_there_were_masks_is_read(tmp_path) -> None:
    tower = tower_network(TEXT, 3, "a")
    for name, content in own_files(tower).items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "config.json").write_text(json.dumps({k: v for k, v in TEXT.to_dict().items() if k != "masked"}))
    assert open_own(tmp_path, "it").config == TEXT

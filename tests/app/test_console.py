"""Progress is drawn on a terminal and nowhere else; what nobody foresaw is not hidden."""

import io
import sys
from collections.abc import Callable
from typing import Any

import pytest

from app.cli import measure
from app.cli.console import progress_bar
from app.cli.main import run

Accord = Callable[[str], Any]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [Terminal, io.StringIO])
def test_progress_is_drawn_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch, stream: type[io.StringIO]) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "stderr", stream())
    with progress_bar() as report:
        for stage, total in (("extract_a", 3), ("calibrate", 2), ("calibrate", 2)):
            for done in range(total + 1):
                report(stage, done, total)
    drawn = sys.stderr.getvalue()  # type: ignore[attr-defined]
    if stream is io.StringIO:
        assert drawn == ""
    else:
        assert "activations of A" in drawn
        assert "3/3" in drawn
        assert "shuffles" in drawn


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (
            OSError(122, "Disk quota exceeded"),
            1,
            "the disk is full ([Errno 122] Disk quota exceeded); nothing was kept",
        ),
        (OSError(5, "Input/output error"), 1, "a file could not be read or written ([Errno 5] Input/output error)"),
        (MemoryError(), 1, "there is not enough memory; take fewer samples"),
        (KeyboardInterrupt(), 130, "stopped"),
    ],
)
def test_what_stops_the_work_is_one_sentence(
    accord: Accord, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int, sentence: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(measure, "check_folder", fail)
    answer = accord("score x.npz y.npz")
    assert (answer.status, answer.out, answer.err.count("\n")) == (status, "", 1)
    assert answer.err.startswith(f"accord: {sentence}")


def test_a_defect_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(measure, "check_folder", fail)
    with pytest.raises(ZeroDivisionError):
        run(["score", "x.npz", "y.npz"])


def test_a_sentence_is_one_line_whatever_a_library_put_into_it(accord: Accord, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("first\n  second")

    monkeypatch.setattr(measure, "check_folder", fail)
    assert "(first second)" in accord("score x.npz y.npz").err

"""What only a process of its own can show: signals, terminals, full disks, closed pipes, a hub out of reach."""

import os
import pty
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

ACCORD = Path(sys.executable).with_name("accord")


@pytest.fixture
def folder(tmp_path: Path, noise: Callable[..., np.ndarray]) -> Path:
    np.savez(tmp_path / "x.npz", **{f"layer.{i}": noise(i, 60) for i in range(4)})
    (tmp_path / "texts.txt").write_text("\n".join(f"text {i}" for i in range(20)))
    return tmp_path


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Returns the settings of this process, with its caches elsewhere."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ACCORD_", "HF_", "PYTHONW"))}
    return {
        **kept,
        "COLUMNS": "80",
        "ACCORD_CACHE_DIR": str(folder / ".cache"),
        "HF_HOME": str(folder / ".hub"),
        **more,
    }


def test_ctrl_c_stops_it_with_one_line_and_leaves_nothing(folder: Path) -> None:
    ours, theirs = pty.openpty()
    command = [
        ACCORD,
        "score",
        "x.npz",
        "x.npz",
        "--permutations",
        "100000",
        "--metric",
        "all",
        "--out",
        "out",
        "--json",
    ]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=theirs, env=environment(folder, TERM="xterm")
    ) as process:
        os.close(theirs)
        seen = b""
        while b"shuffles" not in seen:  # stderr is a terminal: there is progress on it, and now it is at work
            seen += os.read(ours, 4096)
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        said = process.stdout.read()
        tail = seen
        try:
            while more := os.read(ours, 4096):
                tail += more
        except OSError:  # a terminal that nobody holds any more reads as an error
            pass
    os.close(ours)
    assert (process.returncode, said) == (130, b"")
    assert tail.splitlines()[-1].endswith(b"accord: stopped")  # after what takes the bars away
    assert b"Traceback" not in tail
    assert sorted(entry.name for entry in folder.iterdir()) == ["texts.txt", "x.npz"]


def test_a_full_disk_while_writing_is_said_and_nothing_is_kept(folder: Path) -> None:
    extract = "extract features:y.npz --probe texts.txt --out"
    lines = ["score y.npz y.npz --permutations 1 --json --out out", f"{extract} e.npz", f"{extract} e.safetensors"]
    code = f"from app.cli.main import run; print([run(line.split()) for line in {lines}])"
    np.savez(folder / "y.npz", h=np.random.default_rng(0).normal(size=(20, 200)))
    before = sorted(folder.rglob("*"))
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        env=environment(folder, PYTHONDONTWRITEBYTECODE="1"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
        check=True,
    )
    assert done.stdout == "[1, 1, 1]\n"
    sentences = done.stderr.splitlines()
    assert len(sentences) == 3
    for name, sentence in zip(("--out out", "e.npz", "e.safetensors"), sentences, strict=True):
        assert sentence.startswith(f"accord: {name} could not be written (")
        assert "free some space" in sentence
    assert sorted(folder.rglob("*")) == before


def test_a_full_disk_under_stdout_is_said(folder: Path) -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(
            [ACCORD, "settings"], stdout=full, stderr=subprocess.PIPE, text=True, env=environment(folder)
        )
    assert done.returncode == 1
    assert done.stderr.startswith("accord: the disk is full (")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("line", ["settings", "settings --json", "--help"])
def test_a_reader_that_leaves_is_left_in_peace(folder: Path, line: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([ACCORD, *line.split()], stdout=writing, stderr=subprocess.PIPE, env=environment(folder))
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


def test_a_hub_out_of_reach_is_said_within_seconds(folder: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        started = time.monotonic()
        done = subprocess.run(
            [ACCORD, "compare", "hf:org/name", "features:x.npz", "--probe", "texts.txt", "--out", "out"],
            cwd=folder,
            capture_output=True,
            text=True,
            env=environment(folder, HF_ENDPOINT=f"http://127.0.0.1:{port}"),
            timeout=60,
        )
    assert time.monotonic() - started < 30  # "within seconds": a hub client's own retries take minutes
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("accord: hf:org/name cannot be reached")
    assert "path:DIR" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (folder / "out").exists()


def test_a_script_gets_the_same_bytes_and_no_progress(folder: Path) -> None:
    command = [ACCORD, "score", "x.npz", "x.npz", "--permutations", "19", "--json"]
    first, second = (
        subprocess.run(command, cwd=folder, capture_output=True, check=True, env=environment(folder)) for _ in range(2)
    )
    assert first.stdout == second.stdout
    assert first.stdout.startswith(b'{\n  "samples": 60,')
    assert first.stderr == b""


def test_a_terminal_that_lacks_a_letter_gets_another(folder: Path) -> None:
    done = subprocess.run(
        [ACCORD, "metrics"],
        capture_output=True,
        env=environment(folder, PYTHONIOENCODING="ascii"),
        check=True,
    )
    assert b"\\u2229" in done.stdout

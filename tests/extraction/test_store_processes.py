"""Many writers in processes of their own; some of them die."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from alignment.extraction import sweep
from tests.extraction.store_support import FACTS, key, made, same, store

ROOT = Path(__file__).parents[2]


def start(task: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.extraction.store_support", task, str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def test_writers_of_the_same_keys_all_succeed(tmp_path: Path) -> None:
    writers = [start("race", tmp_path) for _ in range(4)]
    while len(list(tmp_path.glob("ready-*"))) < 4:
        assert all(writer.poll() is None for writer in writers), [w.communicate() for w in writers]
        time.sleep(0.01)
    (tmp_path / "go").touch()
    for writer in writers:
        said = writer.communicate(timeout=60)
        assert writer.returncode == 0, said
    kept = store(tmp_path)
    assert len(list(kept.entries.glob("*/*"))) == 8
    assert all(same(kept.read(key(str(number))), made(number)) for number in range(8))
    assert not list(kept.drafts.iterdir())


@pytest.mark.parametrize("files", [1, 7])
def test_a_writer_killed_in_the_middle_leaves_nothing_to_read(tmp_path: Path, files: int) -> None:
    writer = start("slow", tmp_path)
    assert writer.stdout is not None
    for _ in range(files):
        assert writer.stdout.readline()
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    kept = store(tmp_path)
    assert kept.read(key()) is None
    assert not list(kept.entries.glob("*/*"))
    kept.write(key(), made(), FACTS)
    assert same(kept.read(key()), made())
    assert len(list(kept.drafts.iterdir())) == 1
    assert sweep(kept, 1 << 30).leftovers == 0  # it might be somebody's who is at work
    assert sweep(kept, 1 << 30, stale=0).leftovers == 1
    assert not list(kept.drafts.iterdir())

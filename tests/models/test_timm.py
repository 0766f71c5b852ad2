"""Timm models agree with a plain loop; without timm the sentence says what to install.

The test's own torchvision does not fit the installed torch (its compiled part does not load), so timm runs in a process
of its own, in which the two operators that torchvision describes on import are declared first.
"""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from alignment.errors import ModelError
from alignment.models import FakeHub, load_encoder
from alignment.references import ModelRef

TIMM = Path(sys.prefix) / "timm"
HERE = Path(__file__).parent


@pytest.mark.skipif(find_spec("timm") is not None, reason="timm is installed here")
def test_without_timm_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"architecture": "resnet18"}')
    (tmp_path / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    hub = FakeHub({"timm/resnet18.a1_in1k": {"main": tmp_path}})
    for text in (f"path:{tmp_path}", "timm:resnet18.a1_in1k", "timm:resnet18"):
        with pytest.raises(ModelError, match=r"needs timm.*pip install '\.\[timm\]'"):
            load_encoder(ModelRef.parse(text), hub=hub)


@pytest.mark.skipif(not TIMM.is_dir(), reason="the Makefile has not made .venv/timm")
def test_agrees_with_a_plain_loop(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(HERE / "timm_check.py"), str(TIMM), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip() == "ok"
    assert done.stderr == ""

"""The API's process, as it is when it begins to answer."""

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from app import main
from app.settings import Settings
from app.storage import Database


def test_what_is_loaded_is_not_looked_through_again_while_requests_wait(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[int] = []

    def run(self: object, sockets: object) -> None:
        left.append(len(gc.get_objects()))

    monkeypatch.setattr(main.signal, "signal", lambda *given: None)
    monkeypatch.setattr(main._Uvicorn, "run", run)
    settings = Settings(data_dir=tmp_path, cache_dir=tmp_path / "cache", port=0, database_url=database.url)
    before = len(gc.get_objects())
    server = main.Server(settings, database)
    try:
        server.run(lambda address: None)
    finally:
        gc.unfreeze()
        server._socket.close()
    assert left[0] < before / 100  # what a collection goes through


def test_what_only_work_needs_is_not_loaded_into_the_api() -> None:
    code = "import sys, app.main; print(sorted({'transformers', 'scipy', 'matplotlib', 'pyarrow'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

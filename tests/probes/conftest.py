"""Small images and files, and a hub, that the tests of probe sets share."""

import io
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from PIL import Image

from tests.hub import HubServer


@pytest.fixture(scope="session")
def picture() -> Callable[..., bytes]:
    """Returns a function from a colour, a format and a mode to the bytes of a small image."""

    def make(colour: object = "red", form: str = "PNG", mode: str = "RGB", size: tuple[int, int] = (6, 4)) -> bytes:
        buffer = io.BytesIO()
        Image.new(mode, size, colour).save(buffer, form)
        return buffer.getvalue()

    return make


@pytest.fixture
def pack(tmp_path: Path) -> Callable[..., Path]:
    """Returns a function that writes files as a folder or as a .zip and returns its path."""

    def make(files: Mapping[str, bytes | str], form: str, name: str = "pictures") -> Path:
        if form == "zip":
            path = tmp_path / f"{name}.zip"
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                for file, data in files.items():
                    archive.writestr(file, data)
            return path
        path = tmp_path / name
        for file, data in files.items():
            target = path / file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    return make


@pytest.fixture(scope="module")
def running() -> Iterator[HubServer]:
    """A hub that stays up from test to test."""
    made = HubServer()
    yield made
    made.stop()


@pytest.fixture
def server(running: HubServer) -> HubServer:
    """A hub with nothing on it."""
    running.repositories.clear()
    running.asked.clear()
    running.tokens.clear()
    return running

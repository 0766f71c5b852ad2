"""A small image."""

import io
from collections.abc import Callable

import pytest
from PIL import Image


@pytest.fixture
def picture() -> Callable[..., bytes]:
    """Returns a function from a colour to the bytes of a PNG."""

    def make(colour: str = "red") -> bytes:
        buffer = io.BytesIO()
        Image.new("RGB", (8, 8), colour).save(buffer, "PNG")
        return buffer.getvalue()

    return make

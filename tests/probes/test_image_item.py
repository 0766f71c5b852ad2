"""ImageItem: what every kind of image becomes, and what broken ones are called."""

import contextlib
import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from alignment.errors import ProbeError
from alignment.probes import ImageItem


def opened(data: bytes) -> Image.Image:
    return ImageItem("a picture", lambda: data).open()


def saved(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "BMP", "GIF"])
def test_every_format_opens_as_rgb(form: str, picture: Callable[..., bytes]) -> None:
    image = opened(picture((250, 0, 0), form))
    assert (image.mode, image.size) == ("RGB", (6, 4))
    assert abs(np.asarray(image).astype(int) - [250, 0, 0]).max() < 12  # JPEG and WebP lose a little


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "RGB"])
def test_every_mode_opens_as_rgb(mode: str, picture: Callable[..., bytes]) -> None:
    assert opened(picture(0, mode=mode)).mode == "RGB"


def test_transparency_is_laid_over_white(picture: Callable[..., bytes]) -> None:
    assert opened(picture((255, 0, 0, 0), mode="RGBA")).getpixel((0, 0)) == (255, 255, 255)
    assert opened(picture((0, 0, 0, 128), mode="RGBA")).getpixel((0, 0)) == (127, 127, 127)
    palette = Image.new("P", (2, 2), 1)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    assert opened(saved(palette)).getpixel((0, 0)) == (255, 0, 0)
    assert opened(saved(palette, transparency=1)).getpixel((0, 0)) == (255, 255, 255)


def test_sixteen_bits_of_grey_are_scaled_and_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    assert (np.asarray(opened(saved(Image.fromarray(ramp))))[..., 0] == ramp >> 8).all()


def test_a_photograph_is_turned_as_its_camera_held_it() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned a quarter to the left
    assert opened(saved(Image.new("RGB", (6, 4)), exif=exif)).size == (4, 6)


def test_an_animation_is_its_first_frame() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (3, 3), "red").save(
        buffer, "GIF", save_all=True, append_images=[Image.new("RGB", (3, 3), "blue")], duration=100
    )
    assert opened(buffer.getvalue()).getpixel((1, 1)) == (255, 0, 0)


def png_of(width: int, height: int) -> bytes:
    """Returns a PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [8_001, 10_000, 60_000])  # over our limit, Pillow's warning, Pillow's error
def test_a_decompression_bomb_is_refused(side: int) -> None:
    with pytest.raises(ProbeError, match="'a picture' is too large"):
        opened(png_of(side, side))


@pytest.mark.parametrize(
    "data", [b"", b"no image", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"II*\0\x08\0\0\0"]
)
def test_other_bytes_are_refused_and_ghostscript_never_starts(data: bytes) -> None:
    with pytest.raises(ProbeError, match=f"'a picture' cannot be decoded: its {len(data)} bytes are of none of"):
        opened(data)


def test_a_cut_off_image_is_refused(picture: Callable[..., bytes]) -> None:
    with pytest.raises(ProbeError, match="'a picture' cannot be decoded"):
        opened(picture(size=(60, 40))[:-30])


@given(st.sampled_from(["PNG", "JPEG", "WEBP", "BMP", "GIF"]), st.data())
@settings(max_examples=150, deadline=None)
def test_broken_bytes_raise_nothing_but_probe_errors(form: str, data: st.DataObject) -> None:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((16, 16)).convert("RGB").save(buffer, form)
    broken = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ProbeError):
        assert opened(bytes(broken)).mode == "RGB"

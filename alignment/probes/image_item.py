"""ImageItem: one image, read when it is needed."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from alignment.errors import ProbeError

# Named, because Pillow's other decoders are not for strangers' bytes: the one of EPS starts Ghostscript.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
MAX_PIXELS = 64_000_000  # 192 MB once decoded; a few kilobytes of PNG can claim a thousand times as many


@dataclass(frozen=True)
class ImageItem:
    """One image, read when it is needed.

    Attributes:
        name: what an error calls it (a file's name).
        read: returns its encoded bytes (PNG, JPEG, WebP, BMP or GIF), the same at each call.
    """

    name: str
    read: Callable[[], bytes]

    def open(self) -> Image.Image:
        """Returns the decoded image, RGB, turned as its camera held it; transparency is laid over white.

        Raises:
            ProbeError: if its bytes are not a whole image of a known format, or it has more than `MAX_PIXELS`.
        """
        data = self.read()
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                if math.prod(image.size) > MAX_PIXELS:
                    raise Image.DecompressionBombError(f"{image.width} x {image.height} pixels")
                image.load()
                return _rgb(ImageOps.exif_transpose(image))
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise ProbeError(
                f"image {self.name!r} is too large ({error}); make it at most {MAX_PIXELS:,} pixels"
            ) from error
        except UnidentifiedImageError as error:
            raise ProbeError(
                f"image {self.name!r} cannot be decoded: its {len(data)} bytes are of none of the formats "
                f"{', '.join(FORMATS)}; replace or remove it"
            ) from error
        except Exception as error:  # a decoder given broken bytes may raise anything: struct.error, IndexError, …
            raise ProbeError(f"image {self.name!r} cannot be decoded ({error}); replace or remove it") from error


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits of grey: Pillow would clip them to 255, white
        return Image.fromarray((np.asarray(image).astype(np.int64) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")

"""Root: what the path of an image may not leave."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Protocol, runtime_checkable

from alignment.probes.image_item import ImageItem

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")
MAX_MEMBER = 256 * 2**20  # bytes of one image or captions file


@runtime_checkable
class Root(Protocol):
    """A folder or an archive with images in it."""

    def names(self) -> list[str]:
        """Returns the path of every file in it that is not hidden, from the root, with `/` between the parts."""

    def item(self, name: str) -> ImageItem:
        """Returns the image at the path `name`, which is read when needed.

        Raises:
            ProbeError: if there is no image at that path or it leads out of the root.
        """

    def read(self, name: str) -> bytes:
        """Returns the bytes of a file in it, which has at most `MAX_MEMBER`.

        Raises:
            ProbeError: if they cannot be read.
        """


def is_hidden(name: str) -> bool:
    """Returns whether a file is the system's and not the user's (`.DS_Store`, `__MACOSX/…`)."""
    return any((part.startswith(".") and part != "..") or part == "__MACOSX" for part in PurePosixPath(name).parts)


def is_image(name: str) -> bool:
    """Returns whether a file's name ends as one of `IMAGE_SUFFIXES`, in small or capital letters."""
    return name.lower().endswith(IMAGE_SUFFIXES)


def is_plain(name: str) -> bool:
    """Returns whether a file's name has no control characters and can be written in UTF-8."""
    # A byte of a file's name that is not UTF-8 comes as half of a surrogate pair.
    return all(ord(letter) >= 32 and ord(letter) != 127 and not 0xD800 <= ord(letter) < 0xE000 for letter in name)


def natural(name: str) -> tuple[object, ...]:
    """Returns a key that sorts names as people do: folder by folder, `2.png` before `10.png`.

    >>> sorted(["b/1.png", "10.png", "2.png", "b/01.png"], key=natural)
    ['2.png', '10.png', 'b/01.png', 'b/1.png']
    """
    return (tuple(_part(part) for part in name.split("/")), name)


def _part(part: str) -> tuple[tuple[str, int, str], ...]:
    # Words stand at even places, digits at odd ones, so like is compared with like. A number is compared by its length
    # and then its digits: int() refuses numbers of more than 4,300.
    pieces = re.split(r"([0-9]+)", part.casefold())
    return tuple(
        ("", len(piece.lstrip("0")), piece.lstrip("0")) if place % 2 else (piece, 0, "")
        for place, piece in enumerate(pieces)
    )

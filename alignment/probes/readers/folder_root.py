"""FolderRoot: a folder that the paths of images may not leave."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from alignment.errors import ProbeError
from alignment.probes.image_item import ImageItem
from alignment.probes.readers.root import IMAGE_SUFFIXES, MAX_MEMBER, is_hidden, is_image, is_plain


class FolderRoot:
    """A folder with images in it; a link that leads out of it is refused."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    def names(self) -> list[str]:
        """Returns the path of every file in it that is not hidden, from the root, with `/` between the parts.

        Linked folders are not walked.

        Raises:
            ProbeError: if a folder in it cannot be listed.
        """
        found = []
        for folder, _, files in os.walk(self._folder, onerror=_refuse):
            found += [Path(folder, file).relative_to(self._folder).as_posix() for file in files]
        return [name for name in found if not is_hidden(name)]

    def item(self, name: str) -> ImageItem:
        """Returns the image at the path `name`, which is read when needed.

        Raises:
            ProbeError: if there is no image at that path or it leads out of the folder.
        """
        if not is_image(name):
            raise ProbeError(f"{name!r} does not end as an image does; give one of {', '.join(IMAGE_SUFFIXES)}")
        path = self._inside(name)
        shown = path.relative_to(self._folder).as_posix() if Path(name).is_absolute() else Path(name).as_posix()
        return ImageItem(shown, partial(_read, path, name))

    def read(self, name: str) -> bytes:
        """Returns the bytes of a file in it, which has at most `MAX_MEMBER`.

        Raises:
            ProbeError: if they cannot be read.
        """
        return _read(self._inside(name), name)

    def _inside(self, name: str) -> Path:
        if not is_plain(name):
            raise ProbeError(f"{name!r} is not a file's name; rename it without control characters, in UTF-8")
        if ".." in Path(name).parts:
            raise ProbeError(f"{name!r} leads out of the folder; give a path inside it, without '..'")
        try:
            path = (self._folder / name).resolve()
            if not path.is_relative_to(self._folder):
                raise ProbeError(f"{name!r} leads out of the folder; copy the image into it")
            if not path.is_file():
                raise ProbeError(f"there is no image {name!r} in the folder; add it or remove its row")
        except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
            reason = error.strerror if isinstance(error, OSError) else "its links go in a circle"
            raise ProbeError(f"{name!r} cannot be found ({reason}); replace or remove it") from error
        return path


def _read(path: Path, name: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_MEMBER + 1)
    except OSError as error:
        raise ProbeError(f"{name!r} cannot be read ({error.strerror}); replace or remove it") from error
    if len(data) > MAX_MEMBER:
        raise ProbeError(f"{name!r} has more than {MAX_MEMBER:,} bytes; make it smaller or remove it")
    return data


def _refuse(error: OSError) -> None:
    folder = Path(error.filename or "").name
    raise ProbeError(f"the folder {folder!r} cannot be listed ({error.strerror}); make it readable") from error

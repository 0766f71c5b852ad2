"""ArchiveRoot: a `.zip` that images are read from where they lie."""

from __future__ import annotations

import zipfile
import zlib
from functools import partial
from pathlib import Path, PurePosixPath

from alignment.errors import ProbeError
from alignment.probes.image_item import ImageItem
from alignment.probes.readers.root import IMAGE_SUFFIXES, MAX_MEMBER, is_hidden, is_image, is_plain

_BROKEN = (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, ValueError, OSError)
_ENCRYPTED = 0x1  # a bit of a member's flags


class ArchiveRoot:
    """A `.zip` with images in it; nothing is unpacked to disk, and the file stays open as long as its items live.

    Only members stored or deflated are read: Python bounds what those grow to, and not what bzip2 and LZMA do.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._zip = zipfile.ZipFile(path)
        except (*_BROKEN, UnicodeDecodeError) as error:
            raise ProbeError(f"it is not a readable .zip file ({error}); pack it anew") from error
        self._members: dict[str, zipfile.ZipInfo] = {}
        for member in self._zip.infolist():
            if member.filename.endswith("/") or is_hidden(member.filename):
                continue
            self._check(member)
            self._members[member.filename] = member

    def names(self) -> list[str]:
        """Returns the path of every file in it that is not hidden, from the root, with `/` between the parts."""
        return list(self._members)

    def item(self, name: str) -> ImageItem:
        """Returns the image at the path `name`, which is read when needed.

        Raises:
            ProbeError: if there is no image at that path.
        """
        if not is_image(name):
            raise ProbeError(f"{name!r} does not end as an image does; give one of {', '.join(IMAGE_SUFFIXES)}")
        name = PurePosixPath(name).as_posix()
        if name not in self._members:
            raise ProbeError(f"there is no image {name!r} in the archive; add it or remove its row")
        return ImageItem(name, partial(self.read, name))

    def read(self, name: str) -> bytes:
        """Returns the bytes of a file in it, which has at most `MAX_MEMBER`.

        Raises:
            ProbeError: if they cannot be read.
        """
        member = self._members[name]
        try:
            with self._zip.open(member) as stream:
                # With a size, so that no more is ever decompressed than the member declares: see ZipExtFile.read.
                data = stream.read(member.file_size + 1)
        except _BROKEN as error:
            raise ProbeError(f"{name!r} cannot be read ({error}); pack the .zip anew") from error
        if len(data) != member.file_size:
            raise ProbeError(f"{name!r} is cut off; pack the .zip anew")
        return data

    def _check(self, member: zipfile.ZipInfo) -> None:
        name = member.filename
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise ProbeError(f"{name!r} leads out of the archive; pack it with paths inside it")
        if path.as_posix() != name or "\\" in name or not is_plain(name):
            raise ProbeError(f"{name!r} is no plain path; rename it and pack the .zip anew")
        if name in self._members:
            raise ProbeError(f"it holds {name!r} twice; pack it anew with each file once")
        if member.flag_bits & _ENCRYPTED:
            raise ProbeError(f"{name!r} is encrypted; pack the .zip without a password")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ProbeError(f"{name!r} is compressed in a rare way; pack the .zip with deflate")
        if member.file_size > MAX_MEMBER:
            raise ProbeError(f"{name!r} unpacks to {member.file_size:,} bytes; at most {MAX_MEMBER:,} are read")

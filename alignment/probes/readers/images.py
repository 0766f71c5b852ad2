"""Images: a folder or a `.zip` of them, each with a caption or none with one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import PurePosixPath

from alignment.errors import ProbeError
from alignment.probes.probe_set import ProbeSet
from alignment.probes.readers import captions
from alignment.probes.readers.archive_root import ArchiveRoot
from alignment.probes.readers.folder_root import FolderRoot
from alignment.probes.readers.root import IMAGE_SUFFIXES, Root, is_image, natural
from alignment.probes.readers.source import Source
from alignment.probes.readers.table import MAX_ITEMS, to_probe


def read(source: Source, *, described: bool = False) -> ProbeSet:
    """Returns one item an image, in the natural order of their names, which are the ids; files of other kinds are left.

    A captions file (`captions.csv`, `.jsonl` or `.txt`) gives every image its text, and makes the set a paired one.

    Args:
        source: the folder or archive.
        described: whether `metadata.csv` or `metadata.jsonl` is one, too, as on the Hugging Face hub.

    Raises:
        ProbeError: if there is no image, or the captions are not those of the images.
    """
    try:
        root: Root = FolderRoot(source.path) if source.path.is_dir() else ArchiveRoot(source.path)
        names = root.names()
        images = sorted(filter(is_image, names), key=natural)
        items = tuple(map(root.item, images))
        caption = _captions_among(names, captions.ON_THE_HUB if described else captions.NAMES)
        data = root.read(caption) if caption else b""
    except ProbeError as error:
        raise ProbeError(f"probe set {source.name!r}: {error}") from error
    if not items or len(items) > MAX_ITEMS:
        raise ProbeError(
            f"probe set {source.name!r} has {len(items)} images and {len(names) - len(items)} other files; "
            f"give 1 to {MAX_ITEMS:,} images that end in {', '.join(IMAGE_SUFFIXES)}"
        )
    if caption is None:
        source.refuse_columns("it holds images and no captions.csv or captions.jsonl")
        return ProbeSet(source.name, tuple(item.name for item in items), images=items)
    table, columns = captions.parse(data, caption, source, images)
    return to_probe(table, source.name, columns, root)


def _captions_among(names: Sequence[str], called: Collection[str]) -> str | None:
    found = sorted(name for name in names if PurePosixPath(name).name.lower() in called)
    if len(found) > 1:
        raise ProbeError(f"it has more than one captions file ({', '.join(found)}); keep one")
    return found[0] if found else None

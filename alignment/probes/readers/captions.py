"""Captions: the file beside images that gives each of them its text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

from alignment.errors import ProbeError
from alignment.probes.readers import comma, records
from alignment.probes.readers.root import natural
from alignment.probes.readers.source import Source, decode
from alignment.probes.readers.table import Table, choose_columns

_IMAGE_COLUMNS = ("image", "file", "file_name")


def parse(data: bytes, file: str, source: Source, images: Sequence[str]) -> tuple[Table, dict[str, str]]:
    """Returns the captions as a table in the natural order of the images' names, and what its columns are called.

    Args:
        data: the bytes of the captions file.
        file: its path from the root; the paths in it start at its own folder.
        source: what the images lie in, with the names of its columns.
        images: the names of all images, from the root.

    Raises:
        ProbeError: if an image has no caption or more than one, or a caption has no image.
    """
    name = f"{source.name.rstrip('/')}/{file}"
    table = PARSERS[PurePosixPath(file).name.lower()](decode(data, name), name)
    columns = dict(source.columns)
    if "image" not in columns:
        columns["image"] = next((column for column in _IMAGE_COLUMNS if column in table.columns), "image")
    columns = choose_columns(name, tuple(table.columns), {"text": "text", **columns})

    paths: list[str] = []
    known, line_of = set(images), dict[str, str]()
    for value, where in zip(table.columns[columns["image"]], table.where, strict=True):
        if not isinstance(value, str) or not value.strip():
            raise ProbeError(f"{name!r}, {where}: there is no {columns['image']}; fill it in or remove the row")
        path = (PurePosixPath(file).parent / value).as_posix()
        if path not in known:
            raise ProbeError(f"{name!r}, {where}: there is no image {value!r} beside it; add it or remove the row")
        if path in line_of:
            raise ProbeError(
                f"{name!r}, {where}: {value!r} has a caption already, at {line_of[path]}; keep one of them"
            )
        line_of[path] = where
        paths.append(path)
    bare = next((image for image in images if image not in line_of), None)
    if bare is not None:
        raise ProbeError(f"{name!r} has no caption for the image {bare!r}; add one or remove the image")

    order = sorted(range(len(paths)), key=lambda row: natural(paths[row]))
    values = {**table.columns, columns["image"]: paths}
    sorted_values = {column: [cells[row] for row in order] for column, cells in values.items()}
    return Table(name, sorted_values, [table.where[row] for row in order]), columns


def _parse_tabs(text: str, name: str) -> Table:
    """Returns the table of `name<TAB>caption` lines."""
    files, texts, where = [], [], []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        file, tab, caption = line.strip().partition("\t")
        if not tab:
            raise ProbeError(f"{name!r}, line {number}: no tab; write the image's name, a tab and its caption")
        files.append(file.strip())
        texts.append(caption.strip())
        where.append(f"line {number}")
    return Table(name, {"image": files, "text": texts}, where)


PARSERS: dict[str, Callable[[str, str], Table]] = {
    "captions.csv": comma.parse,
    "captions.jsonl": records.parse,
    "captions.txt": _parse_tabs,
    "metadata.csv": comma.parse,
    "metadata.jsonl": records.parse,
}
NAMES = tuple(name for name in PARSERS if name.startswith("captions."))
ON_THE_HUB = tuple(PARSERS)

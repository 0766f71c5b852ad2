"""Table: named columns of equal length, on their way to a ProbeSet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from alignment.errors import ProbeError
from alignment.probes.image_item import ImageItem
from alignment.probes.probe_set import ProbeSet
from alignment.probes.readers import cells
from alignment.probes.readers.root import Root
from alignment.probes.readers.source import CANONICAL

MAX_ITEMS = 10_000_000


@dataclass(frozen=True)
class Table:
    """Named columns of equal length.

    Attributes:
        name: the file, as errors call it.
        columns: each column's values, by the file's own names, in the file's order; an image is a path, or a function
            that returns its bytes.
        where: what errors call each row (`line 3`).
    """

    name: str
    columns: Mapping[str, Sequence[object]]
    where: Sequence[str]

    def __post_init__(self) -> None:
        if not self.where:
            raise ProbeError(f"{self.name!r} has no items; give at least a few hundred rows")


def choose_columns(name: str, have: Sequence[str], named: Mapping[str, str]) -> dict[str, str]:
    """Returns which of the columns `have` is which canonical one; `named` goes before their own names.

    Raises:
        ProbeError: if a named column is missing, or there is neither a text nor an image.
    """
    listed = ", ".join(map(repr, have)) or "none"
    for column, actual in named.items():
        if actual not in have:
            raise ProbeError(f"{name!r} has no column {actual!r} to take the {column} from; its columns are {listed}")
    chosen = {column: named.get(column, column) for column in CANONICAL if named.get(column, column) in have}
    if "text" not in chosen and "image" not in chosen:
        raise ProbeError(
            f"{name!r} has neither a column 'text' nor a column 'image'; its columns are {listed}: "
            "say which of them holds the text or the image"
        )
    return chosen


def to_probe(table: Table, name: str, named: Mapping[str, str], root: Root) -> ProbeSet:
    """Returns the probe set of `table`; the paths of its images start at `root`.

    An item's id is its `id`, else its image's file name, else its row, from 0.

    Raises:
        ProbeError: naming the row of the first value that cannot be used.
    """
    chosen = choose_columns(table.name, tuple(table.columns), named)
    values = {column: table.columns[actual] for column, actual in chosen.items()}

    def place(column: str) -> tuple[Sequence[object], Sequence[str], str, str]:
        return values[column], table.where, chosen[column], table.name

    images = None
    if "image" in values:
        images = tuple(
            _image(value, where, chosen["image"], table.name, root)
            for value, where in zip(values["image"], table.where, strict=True)
        )
    if "id" in values:
        ids = cells.ids(*place("id"))
    elif images is not None and all(isinstance(value, str) for value in values["image"]):
        ids = tuple(image.name for image in images)
    else:
        ids = tuple(map(str, range(len(table.where))))
    return ProbeSet(
        name,
        ids,
        texts=cells.texts(*place("text")) if "text" in values else None,
        images=images,
        targets=cells.targets(*place("target")) if "target" in values else None,
    )


def _image(value: object, where: str, column: str, name: str, root: Root) -> ImageItem:
    if callable(value):  # bytes that the reader keeps in the file's own form
        return ImageItem(f"{name}, {where}", value)
    if isinstance(value, str) and value.strip():
        try:
            return root.item(value)
        except ProbeError as error:
            raise ProbeError(f"{name!r}, {where}: {error}") from error
    if value is None or value == "":
        raise ProbeError(f"{name!r}, {where}: there is no {column}; fill it in or remove the row")
    raise ProbeError(
        f"{name!r}, {where}: the {column} is of type {type(value).__name__}; it must be a path, or in .parquet bytes"
    )

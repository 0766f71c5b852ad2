"""Shards: files of one format that together are one table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from alignment.errors import ProbeError
from alignment.probes.probe_set import ProbeSet
from alignment.probes.readers import comma, parquet, records
from alignment.probes.readers.folder_root import FolderRoot
from alignment.probes.readers.source import Source, decode
from alignment.probes.readers.table import MAX_ITEMS, Table, to_probe

_PARSERS: dict[str, Callable[[str, str], Table]] = {".jsonl": records.parse, ".csv": comma.parse}


def read(sources: Sequence[Source], name: str) -> ProbeSet:
    """Returns the items of all files, in their order; an error names the file and the row in it.

    Args:
        sources: the files, at least one; `.parquet`, `.jsonl` or `.csv`, all alike, in one folder's tree.
        name: what the set is called.

    Raises:
        ProbeError: if one cannot be read, or has other columns than the first.
    """
    tables: list[Table] = []
    room = parquet.MAX_BYTES
    for source in sources:
        suffix = source.path.suffix.lower()
        if suffix == ".parquet":
            table, size = parquet.table(source, room)
            room -= size
        else:
            table = _PARSERS[suffix](decode(source.path.read_bytes(), source.name), source.name)
        tables.append(table)
    return to_probe(_joined(tables, name), name, sources[0].columns, FolderRoot(sources[0].path.parent))


def _joined(tables: Sequence[Table], name: str) -> Table:
    first = tables[0]
    if len(tables) == 1:
        return replace(first, name=name)
    for table in tables:
        if set(table.columns) != set(first.columns):
            raise ProbeError(
                f"{table.name!r} has the columns {', '.join(table.columns)}, and {first.name!r} "
                f"{', '.join(first.columns)}; they must be the same"
            )
    if sum(len(table.where) for table in tables) > MAX_ITEMS:
        raise ProbeError(f"{name!r} has more than {MAX_ITEMS:,} rows; give a smaller part of it")
    columns = {column: [value for table in tables for value in table.columns[column]] for column in first.columns}
    return Table(name, columns, [f"{table.name}, {place}" for table in tables for place in table.where])

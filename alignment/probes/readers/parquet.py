"""Parquet: a `.parquet` file, such as the data sets of the Hugging Face hub are kept in."""

from __future__ import annotations

from functools import partial
from typing import Any

from alignment.errors import ProbeError
from alignment.probes.probe_set import ProbeSet
from alignment.probes.readers.folder_root import FolderRoot
from alignment.probes.readers.source import Source
from alignment.probes.readers.table import MAX_ITEMS, Table, choose_columns, to_probe

MAX_BYTES = 8 * 2**30  # of the columns that are used, once decompressed: they are held in memory
_BATCH = 1024  # rows decoded at a time: a few bytes of Parquet can spell gigabytes, and this notices early


def read(source: Source) -> ProbeSet:
    """Returns one item a row, from its columns `text`, `image`, `id` and `target`; the others are not read.

    An image is a path, bytes, or the hub's `{bytes, path}`.

    Raises:
        ProbeError: naming the row (from 1) that cannot be used.
    """
    found, _ = table(source, MAX_BYTES)
    return to_probe(found, source.name, source.columns, FolderRoot(source.path.parent))


def table(source: Source, room: int) -> tuple[Table, int]:
    """Returns the columns that are used, and how many bytes they hold.

    Args:
        source: the file.
        room: how many they may hold.

    Raises:
        ProbeError: if it is no Parquet file, lacks a column, or holds more.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(source.path) as file:
            if file.metadata.num_rows > MAX_ITEMS:
                raise ProbeError(f"{source.name!r} has {file.metadata.num_rows} rows; give at most {MAX_ITEMS}")
            chosen = choose_columns(source.name, file.schema_arrow.names, source.columns)
            twice = [column for column in chosen.values() if file.schema_arrow.names.count(column) > 1]
            if twice:
                raise ProbeError(f"{source.name!r} names the column {twice[0]!r} twice; name each column once")
            batches, size = [], 0
            for batch in file.iter_batches(_BATCH, columns=list(dict.fromkeys(chosen.values()))):
                batches.append(batch)
                size += batch.nbytes
                if size > room:
                    raise ProbeError(f"{source.name!r} holds more than {room:,} bytes of items; split it")
            columns: dict[str, list[object]] = {}
            for column, actual in chosen.items():
                pick = _images if column == "image" else _values
                columns[actual] = [value for batch in batches for value in pick(batch.column(actual))]
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise ProbeError(f"{source.name!r} is not a readable Parquet file ({reason}); write it anew") from error
    where = [f"row {number}" for number in range(1, sum(map(len, batches)) + 1)]
    return Table(source.name, columns, where), size


def _values(array: Any) -> list[object]:
    values: list[object] = array.to_pylist()
    return values


def _images(array: Any) -> list[object]:
    """Returns a function that reads the bytes where there are some, else the path; bytes stay in Arrow's buffers."""
    import pyarrow as pa
    import pyarrow.compute as pc

    paths, data = array, None
    if pa.types.is_struct(array.type):
        fields = {field.name for field in array.type}
        data = pc.struct_field(array, "bytes") if "bytes" in fields else None
        paths = pc.struct_field(array, "path") if "path" in fields else None
    elif pa.types.is_binary(array.type) or pa.types.is_large_binary(array.type):
        paths, data = None, array
    held = [data is not None and data[row].is_valid and data[row].as_buffer().size > 0 for row in range(len(array))]
    return [
        partial(_bytes, data, row) if held[row] else paths[row].as_py() if paths is not None else None
        for row in range(len(array))
    ]


def _bytes(array: Any, row: int) -> bytes:
    value: bytes = array[row].as_py()
    return value

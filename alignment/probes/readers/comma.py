"""Comma: a `.csv` file with a header."""

from __future__ import annotations

import csv
import io

from alignment.errors import ProbeError
from alignment.probes.probe_set import ProbeSet
from alignment.probes.readers.folder_root import FolderRoot
from alignment.probes.readers.source import Source, decode
from alignment.probes.readers.table import Table, to_probe


def read(source: Source) -> ProbeSet:
    """Returns one item a row, from its columns `text`, `image`, `id` and `target`.

    Raises:
        ProbeError: naming the line that cannot be used.
    """
    table = parse(decode(source.path.read_bytes(), source.name), source.name)
    return to_probe(table, source.name, source.columns, FolderRoot(source.path.parent))


def parse(text: str, name: str) -> Table:
    """Returns the table in `text`, whose first line names the columns; blank lines are skipped.

    Raises:
        ProbeError: naming the line that has another number of cells than the header, or is not CSV.
    """
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows, where = [], []
    start = 1
    try:
        for row in reader:
            if row:
                rows.append(row)
                where.append(f"line {start}")
            start = reader.line_num + 1  # a cell may hold line breaks: a row is named by its first line
    except csv.Error as error:
        raise ProbeError(f'{name!r}, line {start}: not CSV ({error}); quote its cells with "…"') from error
    if not rows:
        raise ProbeError(f"{name!r} is empty; its first line must name the columns, such as id,text")
    header = [column.strip() for column in rows[0]]
    if len(set(header)) != len(header):
        twice = next(column for column in header if header.count(column) > 1)
        raise ProbeError(f"{name!r} names the column {twice!r} twice; name each column once")
    for row, place in zip(rows[1:], where[1:], strict=True):
        if len(row) != len(header):
            raise ProbeError(
                f"{name!r}, {place}: {len(row)} cells where the header names {len(header)} columns; "
                'quote a text that holds a comma with "…"'
            )
    return Table(name, {column: [row[i] for row in rows[1:]] for i, column in enumerate(header)}, where[1:])

"""Records: a `.jsonl` file, one JSON object a line."""

from __future__ import annotations

import json

from alignment.errors import ProbeError
from alignment.probes.probe_set import ProbeSet
from alignment.probes.readers.folder_root import FolderRoot
from alignment.probes.readers.source import Source, decode
from alignment.probes.readers.table import Table, to_probe


def read(source: Source) -> ProbeSet:
    """Returns one item an object, from its fields `text`, `image`, `id` and `target`.

    Raises:
        ProbeError: naming the line that cannot be used.
    """
    table = parse(decode(source.path.read_bytes(), source.name), source.name)
    return to_probe(table, source.name, source.columns, FolderRoot(source.path.parent))


def parse(text: str, name: str) -> Table:
    """Returns the table of the objects in `text`; a field that an object lacks is None there.

    Raises:
        ProbeError: naming the line that is not a JSON object.
    """
    rows: list[dict[str, object]] = []
    where = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:  # ValueError: also of a number with too many digits
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            raise ProbeError(f"{name!r}, line {number}: not JSON ({reason}); write one JSON object a line") from error
        if not isinstance(row, dict):
            raise ProbeError(
                f"{name!r}, line {number}: a JSON {type(row).__name__}, not an object; "
                'write one object a line, as {"text": "…"}'
            )
        rows.append(row)
        where.append(f"line {number}")
    fields = dict.fromkeys(field for row in rows for field in row)
    return Table(name, {field: [row.get(field) for row in rows] for field in fields}, where)

"""Lines: a `.txt` file, one text a line."""

from __future__ import annotations

from alignment.probes.probe_set import ProbeSet
from alignment.probes.readers.folder_root import FolderRoot
from alignment.probes.readers.source import Source, decode
from alignment.probes.readers.table import Table, to_probe


def read(source: Source) -> ProbeSet:
    """Returns one text a line, without the spaces around it; blank lines are skipped. The ids count from 0.

    Raises:
        ProbeError: if it is not UTF-8 or has no text.
    """
    source.refuse_columns("a .txt file has one text a line")
    # Not splitlines: it also splits at characters that belong to a text, such as U+2028.
    numbered = enumerate(decode(source.path.read_bytes(), source.name).split("\n"), start=1)
    kept = [(f"line {number}", line.strip()) for number, line in numbered if line.strip()]
    table = Table(source.name, {"text": [text for _, text in kept]}, [where for where, _ in kept])
    return to_probe(table, source.name, {}, FolderRoot(source.path.parent))

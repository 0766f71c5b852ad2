"""The built-in probe set `language-reference`: sentences that come with Python itself.

Python ships its language reference as text for `help()`, in `pydoc_data.topics`. The text changes with Python's
version, and the set's fingerprint with it: 3.11, 3.12 and 3.13 give three different sets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from alignment.errors import ProbeError
from alignment.probes.probe_set import ProbeSet

_WORDS = range(8, 41)  # shorter ones say too little to compare, longer ones are truncated by small models
_LIST = re.compile(r"\s*([*+-]|[0-9]+[.)])\s")
# Grammar, interpreter sessions, tables and underlined headings.
_NOT_PROSE = re.compile(r"::=|>>>|\||^\s*[*=~^+-]{3,}", re.MULTILINE)
_OPENING = r"[\"“(*]*[A-Z]"
_BETWEEN = re.compile(rf"(?:(?<=[.!?])|(?<=[.!?][\"”)*]))\s+(?={_OPENING})")
_WHOLE = re.compile(rf"{_OPENING}.*[.!?][\"”)*]*")
_BROKEN_WORD = re.compile(r"(?<=\w)-\n\s*(?!(?:or|and)\b)")  # "built-" at the end of a line, not "single- or double-"
_ABBREVIATED = re.compile(r"\b(e\.g|i\.e|etc|vs|cf)\.$")  # not where a sentence ends


def load(name: str, cache: Path | None = None) -> ProbeSet:
    """Returns each sentence of 8 to 40 words once, topics in sorted order; an id is topic and number (`booleans-3`).

    Raises:
        ProbeError: if this Python was installed without `pydoc_data`.
    """
    try:
        from pydoc_data.topics import topics  # 0.7 MB of text: read only when asked for
    except ImportError as error:
        raise ProbeError(
            f"{name!r} needs Python's own pydoc_data, which this Python was installed without; "
            "install the whole standard library or choose another probe set"
        ) from error
    found: dict[str, str] = {}  # by sentence: topics repeat one another, and twins would be each other's neighbours
    for topic in sorted(topics):
        number = 0
        for sentence in _sentences(topics[topic]):
            if sentence not in found:
                found[sentence] = f"{topic}-{number}"
                number += 1
    return ProbeSet(name, tuple(found.values()), texts=tuple(found))


def _sentences(text: str) -> Iterator[str]:
    for block in re.split(r"\n\s*\n", text):
        lines = [line for line in block.split("\n") if line.strip()]
        indents = {len(line) - len(line.lstrip()) for line in lines}
        # A paragraph has one indent; what has more is code or a list. Code of one indent ends in no full stop.
        if len(indents) != 1 or _LIST.match(lines[0]) or _NOT_PROSE.search(block):
            continue
        for sentence in _BETWEEN.split(" ".join(_BROKEN_WORD.sub("-", block).split())):
            if len(sentence.split()) in _WORDS and _WHOLE.fullmatch(sentence) and not _ABBREVIATED.search(sentence):
                yield sentence

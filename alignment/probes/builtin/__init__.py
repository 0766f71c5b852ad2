"""The probe sets that need no file: a table."""

from __future__ import annotations

from pathlib import Path

from alignment.errors import UnknownNameError
from alignment.probes.builtin import emoji, language_reference
from alignment.probes.builtin.entry import Builtin
from alignment.probes.probe_set import ProbeSet

__all__ = ["Builtin", "builtin_probes", "load_builtin"]

_TABLE = (
    Builtin(
        name="emoji",
        title="Emoji drawn by OpenMoji, with their English names",
        kind="paired",
        licence="CC-BY-SA-4.0: emoji designed by OpenMoji (openmoji.org); names from Unicode by way of emoji (BSD)",
        load=emoji.load,
    ),
    Builtin(
        name="language-reference",
        title="Sentences of Python's language reference (the text depends on the Python version)",
        kind="text",
        licence="PSF-2.0: the Python documentation, Python Software Foundation",
        load=language_reference.load,
    ),
)


def builtin_probes() -> tuple[Builtin, ...]:
    """Returns the built-in probe sets, one row each: name, title, kind, licence.

    >>> [(probe.name, probe.kind) for probe in builtin_probes()]
    [('emoji', 'paired'), ('language-reference', 'text')]
    """
    return _TABLE


def load_builtin(name: str, called: str, cache: Path | None = None) -> ProbeSet:
    """Returns the built-in probe set `name`; errors and the set itself call it `called`.

    What takes long to make is kept in the folder `cache`, if there is one.

    Raises:
        UnknownNameError: if there is none of that name.
        ProbeError: if a package that it is made from is not installed.
    """
    for probe in _TABLE:
        if probe.name == name:
            return probe.load(called, cache)
    raise UnknownNameError("probe set", name, [probe.name for probe in _TABLE])

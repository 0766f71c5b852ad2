"""BuiltinFacts: what the built-in probe sets are, found once a process, by a process beside it."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock
from typing import Any

from alignment.errors import UnknownNameError
from alignment.probes import builtin_probes
from app.probes.reader import Reader
from app.probes.reading import BUILTIN

_WORK = "app.probes.reading:know"


class BuiltinFacts:
    """Facts of built-in probe sets: drawing one, or hashing its pictures, takes a process of its own and not this one.

    What is drawn is kept in the cache folder, so that it is drawn once however many processes ask.
    """

    def __init__(self, reader: Reader) -> None:
        """Takes what has it done."""
        self._reader = reader
        self._found: dict[str, Mapping[str, Any]] = {}
        self._locks = {probe.name: Lock() for probe in builtin_probes()}

    def of(self, name: str) -> Mapping[str, Any]:
        """Returns the facts of a set, by the names that `Facts` has; who asks meanwhile waits for the same look.

        Raises:
            UnknownNameError: if there is none of that name.
            ProbeError: if a package that it is made from is not installed.
            Problem: 503 if the server is at fault, or ends.
        """
        if name not in self._locks:
            raise UnknownNameError("probe set", name, self._locks)
        with self._locks[name]:
            if name not in self._found:
                reference = BUILTIN + name
                self._found[name] = self._reader.read(_WORK, {"reference": reference, "name": reference})
            return self._found[name]

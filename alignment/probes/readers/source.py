"""Source: a file or folder that a probe set is read from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from alignment.errors import ProbeError

CANONICAL = ("text", "image", "id", "target")


@dataclass(frozen=True)
class Source:
    """A file or folder, and how its user speaks of it.

    Attributes:
        path: where it is.
        name: what errors and the probe set call it.
        columns: canonical name to the file's own, for those that differ.
    """

    path: Path
    name: str
    columns: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for column in self.columns:
            if column not in CANONICAL:
                raise ProbeError(
                    f"probe set {self.name!r} has no use for a column {column!r}; "
                    f"the columns that can be named are {', '.join(CANONICAL)}"
                )

    def refuse_columns(self, why: str) -> None:
        """Raises ProbeError if columns are named though there are none, `why` saying why."""
        if self.columns:
            raise ProbeError(f"probe set {self.name!r}: {why}, so no columns can be named; leave the column names out")


def decode(data: bytes, name: str) -> str:
    """Returns the text of a UTF-8 file, without a byte order mark.

    Raises:
        ProbeError: naming the line that is not UTF-8.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ProbeError(
            f"{name!r} is not UTF-8 text: line {line} has the byte 0x{data[error.start]:02x}; save it as UTF-8"
        ) from error

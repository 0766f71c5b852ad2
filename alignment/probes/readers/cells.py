"""Cells: the values of a table's columns, made to be what a ProbeSet holds."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from alignment.errors import ProbeError

_NUMBER = re.compile(r"\s*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?\s*", re.ASCII)


def texts(values: Sequence[object], where: Sequence[str], column: str, name: str) -> tuple[str, ...]:
    """Returns the texts, as they are.

    Raises:
        ProbeError: naming the first row whose text is missing, blank or not text.
    """
    return tuple(_text(value, place, column, name) for value, place in zip(values, where, strict=True))


def ids(values: Sequence[object], where: Sequence[str], column: str, name: str) -> tuple[str, ...]:
    """Returns the ids as text; whole numbers are written in digits.

    Raises:
        ProbeError: naming the first row whose id is missing, blank or neither text nor a whole number.
    """
    return tuple(
        str(value) if isinstance(value, int) and not isinstance(value, bool) else _text(value, place, column, name)
        for value, place in zip(values, where, strict=True)
    )


def targets(values: Sequence[object], where: Sequence[str], column: str, name: str) -> tuple[str | float, ...]:
    """Returns the targets: all numbers, if each can be read as one, else all labels.

    A .csv cannot say whether `1` is a number or a label, so the rule is the same for every format: the same items have
    the same fingerprint wherever they come from.

    Raises:
        ProbeError: naming the first row whose target is missing or neither a label nor a finite number.
    """
    labels = [_label(value, place, column, name) for value, place in zip(values, where, strict=True)]
    numbers = [float(label) for label in labels if _NUMBER.fullmatch(label)]
    if len(numbers) == len(labels) and all(map(math.isfinite, numbers)):
        return tuple(number + 0.0 for number in numbers)  # + 0.0: minus zero is zero
    return tuple(labels)


def _label(value: object, place: str, column: str, name: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return repr(value)
    if isinstance(value, float):
        raise ProbeError(f"{name!r}, {place}: the {column} is {value}; give a finite number or a label")
    return _text(value, place, column, name)


def _text(value: object, place: str, column: str, name: str) -> str:
    if value is None or value == "":
        raise ProbeError(f"{name!r}, {place}: there is no {column}; fill it in or remove the row")
    if not isinstance(value, str):
        raise ProbeError(f"{name!r}, {place}: the {column} is of type {type(value).__name__}; it must be text")
    if not value.strip():
        raise ProbeError(f"{name!r}, {place}: the {column} is blank; fill it in or remove the row")
    try:
        value.encode()
    except UnicodeEncodeError as error:  # half of a surrogate pair, which JSON can spell and UTF-8 cannot
        raise ProbeError(f"{name!r}, {place}: the {column} is not valid Unicode; write it anew") from error
    return value

"""read_capability(): how able each model is, from a file."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alignment.errors import RequestError


def read_capability(path: str | Path) -> dict[str, float]:
    """Returns each model's capability: from `.json`, an object of model to number; or `.csv`, lines `model,number`.

    A CSV may begin with a header, and a file may name more models than a study has.

    Raises:
        RequestError: naming what in the file cannot be used.
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"the capability file {path} cannot be read ({error}); write UTF-8 .json or .csv") from error
    if path.suffix not in (".json", ".csv"):
        raise RequestError(f"the capability file {path} must end in .json or .csv")
    pairs = _from_json(text, path) if path.suffix == ".json" else _from_csv(text, path)
    found: dict[str, float] = {}
    for model, value in pairs:
        if model in found:
            raise RequestError(f"{path} names {model!r} twice; give each model one number")
        found[model] = value
    if not found:
        raise RequestError(f"{path} names no model; write one line model,number each")
    return found


def check_capability(capability: Mapping[str, Any], models: tuple[str, ...]) -> dict[str, float]:
    """Returns the capability of each of the models, in their order.

    Raises:
        RequestError: naming the models that have none, or one that is not a finite number.
    """
    missing = [model for model in models if model not in capability]
    if missing:
        raise RequestError(
            f"there is no capability for {', '.join(missing)}; give every model of the study a number, under the name "
            "that the study gives it"
        )
    for model in models:
        value = capability[model]
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise RequestError(f"the capability of {model} is {value!r}; give a finite number")
    return {model: float(capability[model]) for model in models}


def _from_json(text: str, path: Path) -> list[tuple[str, Any]]:
    try:
        # as pairs, so that a name given twice is seen; tuples, so that a list is not taken for an object
        read = json.loads(text, object_pairs_hook=tuple)
    except ValueError as error:
        raise RequestError(f"{path} is not JSON ({error}); write an object of model to number") from error
    if not isinstance(read, tuple):
        raise RequestError(f"{path} must hold one JSON object of model to number")
    return list(read)


def _from_csv(text: str, path: Path) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    reader = csv.reader(io.StringIO(text, newline=""))
    for place, row in enumerate(filter(None, reader)):
        if len(row) != 2:
            raise RequestError(f"{path}, line {reader.line_num}: {len(row)} cells; write model,number")
        name, cell = (part.strip() for part in row)
        try:
            found.append((name, float(cell)))
        except ValueError:
            if place:  # the first line may be a header
                raise RequestError(f"{path}, line {reader.line_num}: {cell!r} is not a number") from None
    return found

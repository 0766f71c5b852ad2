"""Filling: a recipe fills a training's request with its defaults, or says what it cannot do; data are read once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from alignment.entropic.classroom import Classroom, classroom
from alignment.entropic.recipes import RECIPES, TrainingRequest
from alignment.entropic.recipes.mlp import MlpRecipe
from alignment.errors import RequestError, TrainingError
from app.jobs import Context, Done

WORK = "app.trainings.filling:fill_from_file"
# Each is left out in turn to find which one a recipe does not take; what names the least comes first.
_AT_FAULT = (
    "view_a",
    "view_b",
    "labels",
    "estimator",
    "task",
    "strength",
    "optimizer",
    "weight_decay",
    "steps",
    "data",
    "objective",
)


def fill_from_file(payload: Mapping[str, Any], context: Context) -> Done:
    """Returns what `fill` does, of a probe set that a team sent: the work of a child process, which alone reads it.

    Args:
        payload: `fields` of the request, whose `data` is the file, and `name`, which errors call it.
        context: whose settings say how much memory there is.
    """
    fields, name = payload["fields"], payload["name"]
    try:
        room = classroom(fields["data"], fields["seed"])
    except MemoryError:
        found = _refused(
            "data",
            f"{name!r} takes more than {context.settings['reading_mib']} MiB of memory to be read; take fewer items, "
            "or ask the operator to raise ACCORD_MAX_READING_MIB",
        )
    except RequestError as error:
        found = _refused("data", str(error))
    else:
        found = fill(fields, room)
    if "message" in found:
        found = {**found, "message": found["message"].replace(fields["data"], repr(name))}
    return Done(found)


def fill(fields: Mapping[str, Any], room: Classroom | None = None) -> dict[str, Any]:
    """Returns `request`, every default filled in; or `field` and `message`, what the recipe cannot do.

    Args:
        fields: of the request.
        room: the data that the request names, if they have been read.
    """
    try:
        return {"request": _filled(fields, room)}
    except RequestError as error:
        return _refused(_at_fault(fields, room, str(error)), str(error))


def _refused(field: str, message: str) -> dict[str, Any]:
    return {"field": field, "message": message}


def _filled(fields: Mapping[str, Any], room: Classroom | None) -> dict[str, Any]:
    request = TrainingRequest(**fields)
    if room is None or request.data != room.name:
        return RECIPES[request.recipe].of(request).request.to_dict()
    if request.recipe != "mlp":
        raise TrainingError(f"the recipe {request.recipe} learns from data of its own alone")
    return MlpRecipe.taught(request, room).request.to_dict()


def _at_fault(fields: Mapping[str, Any], room: Classroom | None, message: str) -> str:
    """Returns the field without which the recipe has nothing, or something else, to complain of."""
    plain = TrainingRequest()
    for name in _AT_FAULT:
        default = getattr(plain, name)
        if fields[name] == default:
            continue
        try:
            _filled({**fields, name: default}, room)
        except RequestError as error:
            if str(error) == message:
                continue
        return name
    return "recipe"

"""Body: what every request's JSON is read into. A field that is not there is refused, with the one that was meant."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Sequence
from typing import Any, Self, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

B = TypeVar("B", bound="Body")
_MOST = 10  # fields that mean nothing are named, and so many characters of each: looking for what was meant takes time
_LONGEST = 100
# Of difflib's ratio. Nearer than names of things must be: fields are few, and may all be told. `device`, which a
# training has not, is 0.5 from its `view_b`, and `layers` 0.67 from its `labels`.
_NEAR = 0.7


class Body(BaseModel):
    """A request's body, or an object in it; frozen, and without room for fields that mean nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="wrap")
    @classmethod
    def _refuse_unknown(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if isinstance(data, dict):
            known = [field.alias or name for name, field in cls.model_fields.items()]
            unknown = [name for name in data if name not in known]
            if unknown:
                raise ValidationError.from_exception_data(cls.__name__, list(_errors(unknown, known, data)))
        return handler(data)


def closest(name: str, known: Sequence[str]) -> str:
    """Returns which of the known names was meant, or else all of them, as the end of a sentence."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=_NEAR) if len(name) <= _LONGEST else []
    return f"did you mean {close[0]!r}?" if close else f"the fields are: {', '.join(known)}"


def _errors(unknown: Sequence[str], known: Sequence[str], data: dict[str, Any]) -> Iterator[InitErrorDetails]:
    for name in unknown[:_MOST]:
        context = {"name": repr(name[:_LONGEST]), "hint": closest(name, known)}
        error = PydanticCustomError("unknown_field", "there is no field {name}; {hint}", context)
        yield InitErrorDetails(type=error, loc=(name,), input=data[name])
    more = len(unknown) - _MOST
    if more > 0:
        error = PydanticCustomError(
            "unknown_field", "there are {more} further fields that mean nothing", {"more": more}
        )
        yield InitErrorDetails(type=error, loc=(), input=None)


async def read(request: Request, model: type[B]) -> B:
    """Returns the JSON body of a request to an endpoint that takes other bodies, too.

    Raises:
        RequestValidationError: if it is none, or not what `model` takes.
    """
    try:
        data = json.loads(await request.body())
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is one; too deep a nesting is no ValueError
        raise RequestValidationError(
            [{"type": "json_invalid", "loc": ("body",), "msg": "JSON decode error", "ctx": {"error": str(error)}}]
        ) from error
    return check(data, model)


def check(data: Any, model: type[B]) -> B:
    """Returns the body that some data spells.

    Raises:
        RequestValidationError: if it spells none.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        found = [{**one, "loc": ("body", *one["loc"])} for one in error.errors(include_url=False)]
        raise RequestValidationError(found, body=data) from error

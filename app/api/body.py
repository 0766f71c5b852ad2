"""Body: what every request's JSON is read into. A field that is not there is refused, with the one that was meant."""

from __future__ import annotations

import difflib
import json
from typing import Any, Self, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

B = TypeVar("B", bound="Body")


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
                raise ValidationError.from_exception_data(cls.__name__, [_error(name, known, data) for name in unknown])
        return handler(data)


def _error(name: str, known: list[str], data: dict[str, Any]) -> InitErrorDetails:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}?" if close else f"the fields are: {', '.join(known)}"
    error = PydanticCustomError("unknown_field", "there is no field {name}; {hint}", {"name": repr(name), "hint": hint})
    return InitErrorDetails(type=error, loc=(name,), input=data[name])


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

"""Forms: fields of a request that may be written in more than one way: metrics, layers, poolings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, ValidationError

from alignment.activations import Layers
from alignment.models import POOLINGS, Pooling
from app.api.body import Body

INTEGERS = 1 << 63  # more than any whole number that is taken
_MOST_LETTERS = 200
_MOST_METRICS = 1000
_LAYERS = ("all", "last")
# What cannot be printed is in no name, and PostgreSQL takes no NUL in a text.
Text = Annotated[str, Field(min_length=1, max_length=_MOST_LETTERS, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Part(Body):
    """An object of a request; a number is a number and not its text."""

    model_config = ConfigDict(strict=True)


def wrong(message: str, *place: str | int, given: Any = None) -> ValidationError:
    """Returns the error that a field within the one being read is wrong."""
    error = PydanticCustomError("value_error", "{message}", {"message": message})
    return ValidationError.from_exception_data("request", [InitErrorDetails(type=error, loc=place, input=given)])


@dataclass(frozen=True)
class Or:
    """Says of a field that it has a simpler form beside the one that it is read into."""

    simple: dict[str, Any]

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Returns the schema of either."""
        return {"anyOf": [self.simple, handler(schema)]}


# -- metrics ----------------------------------------------------------------------------------------------------------


def _value(value: Any) -> int | float | str:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("a parameter is a number or a text")  # noqa: TRY004 - pydantic takes no TypeError
    if isinstance(value, int) and not -INTEGERS <= value < INTEGERS:
        raise ValueError("a whole number has at most 63 bits")
    if isinstance(value, str) and len(value) > _MOST_LETTERS:
        raise ValueError(f"a text has at most {_MOST_LETTERS} characters")
    return value


_NAME: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": _MOST_LETTERS, "examples": ["mutual_knn"]}


class Metric(Part):
    """A metric with parameters."""

    name: Text = Field(description="its name, as `GET /v1/metrics` lists it", examples=["cka"])
    params: dict[
        Text,
        Annotated[
            int | float | str,
            PlainValidator(_value),
            WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string", "maxLength": _MOST_LETTERS}]}),
        ],
    ] = Field(
        default_factory=dict,
        description="parameters that are not to have their default, as the catalogue's `params` say",
        examples=[{"kernel": "rbf"}],
    )


def _metric(value: Any) -> Any:
    """Reads a name as a metric without parameters, and a result's `key` (`cka:kernel=rbf`) as what it says."""
    if not isinstance(value, str):
        return value
    if not value or len(value) > _MOST_LETTERS:
        raise ValueError(f"a metric's name has 1 to {_MOST_LETTERS} characters")
    name, colon, rest = value.partition(":")
    params: dict[str, str] = {}
    for part in rest.split(",") if colon else ():
        key, equals, given = part.partition("=")
        if not (key and equals and given) or key in params:
            raise ValueError(f"{value!r} is no metric; write NAME, NAME:key=value,key=value or an object")
        params[key] = given
    return {"name": name, "params": params}


def _metrics(value: Any) -> Any:
    if isinstance(value, list) and len(value) > _MOST_METRICS:  # before each is read
        raise ValueError(f"at most {_MOST_METRICS} metrics are taken")
    return [value] if isinstance(value, str) else value


Metrics = Annotated[
    list[Annotated[Metric, BeforeValidator(_metric), Or(_NAME)]],
    BeforeValidator(_metrics),
    Field(min_length=1, max_length=_MOST_METRICS),
    Or(_NAME),
]

# -- layers and pooling -----------------------------------------------------------------------------------------------


def layer_choice(value: Any) -> Layers:
    """Returns which layers of one model are meant."""
    if isinstance(value, str) and value in _LAYERS:
        return "all" if value == "all" else "last"
    if not isinstance(value, list | tuple) or not value:
        raise ValueError('layers of a model are "all", "last", or a list of names or numbers')
    for place, layer in enumerate(value):
        number = isinstance(layer, int) and not isinstance(layer, bool) and abs(layer) < INTEGERS
        # What cannot be printed is in no name, and half a surrogate pair in no answer.
        if not number and not (isinstance(layer, str) and 0 < len(layer) <= _MOST_LETTERS and layer.isprintable()):
            message = "a layer is its name, or its number from 0, or from -1 backwards"
            raise wrong(message, place, given=layer)
    return tuple(value)


_LAYER_LIST: dict[str, Any] = {
    "type": "array",
    "minItems": 1,
    "items": {"anyOf": [{"type": "string", "minLength": 1, "maxLength": _MOST_LETTERS}, {"type": "integer"}]},
    "examples": [["layer.5", -1]],
}
LAYER_CHOICE: dict[str, Any] = {"anyOf": [{"type": "string", "enum": list(_LAYERS)}, _LAYER_LIST]}
LayerChoice = Annotated[Layers, PlainValidator(layer_choice), WithJsonSchema(LAYER_CHOICE)]


def pooling_choice(value: Any) -> Pooling:
    """Returns a pooling."""
    if value not in POOLINGS:
        raise ValueError(f"pooling is one of {', '.join(POOLINGS)}, not {str(value)[:_MOST_LETTERS]!r}")
    return value  # type: ignore[no-any-return]  # it is one


class Sides(Part):
    """What may differ between the two sides of a comparison; one value is for both."""

    @model_validator(mode="before")
    @classmethod
    def _both(cls, value: Any) -> Any:
        if isinstance(value, str):
            cls.check(value)
            return {"a": value, "b": value}
        if not isinstance(value, dict | Sides):
            raise ValueError('give one value for both sides, or {"a": …, "b": …}')  # noqa: TRY004 - pydantic's
        return value

    @staticmethod
    def check(value: str) -> None:
        """Raises a ValueError if that is no value for a side: told once, and not of each side."""


class LayersOfSides(Sides):
    """Which layers of each side are scored."""

    a: LayerChoice = Field("all", description="layers of A", examples=[["layer.5", -1]])
    b: LayerChoice = Field("all", description="layers of B", examples=["last"])

    @staticmethod
    def check(value: str) -> None:
        """Raises a ValueError if that is no choice of layers."""
        layer_choice(value)

    def shown(self) -> Any:
        """Returns it in the shortest form that a request may have."""
        return self.a if self.a == self.b and isinstance(self.a, str) else {"a": self.a, "b": self.b}


class PoolingOfSides(Sides):
    """How each side's positions become one vector."""

    a: Pooling = Field("mean", description="of A", examples=["mean"])
    b: Pooling = Field("mean", description="of B", examples=["cls"])

    @staticmethod
    def check(value: str) -> None:
        """Raises a ValueError if that is no pooling."""
        pooling_choice(value)


POOLING: dict[str, Any] = {"type": "string", "enum": list(POOLINGS)}

"""Examples: a field of the OpenAPI document that holds objects is shown by what its own fields' examples make."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_NONE = object()


def fill(document: dict[str, Any]) -> None:
    """Gives each field that has no example one made of the examples of the fields in it, wherever those are there."""
    schemas = document["components"]["schemas"]
    for field in list(_fields(document)):
        if not {"examples", "example", "const"} & set(field):
            found = _example(field, schemas)
            if found is not _NONE:
                field["examples"] = [found]


def _fields(node: Any) -> Iterator[dict[str, Any]]:
    """Yields every field of every object that is described anywhere."""
    if isinstance(node, list):
        for item in node:
            yield from _fields(item)
    elif isinstance(node, dict):
        if isinstance(node.get("properties"), dict):
            yield from (field for field in node["properties"].values() if isinstance(field, dict))
        for key, item in node.items():
            if key not in ("example", "examples"):
                yield from _fields(item)


def _example(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Any:
    """Returns a schema's own example, or one made of its parts'; `_NONE` if there is none."""
    if schema.get("examples"):
        return schema["examples"][0]
    for name in ("example", "const"):
        if name in schema:
            return schema[name]
    if "$ref" in schema:
        return _example(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    for choice in (choice for name in ("anyOf", "oneOf") for choice in schema.get(name, ())):
        if choice.get("type") != "null":
            return _example(choice, schemas)
    if schema.get("type") == "array" and "items" in schema:
        item = _example(schema["items"], schemas)
        return _NONE if item is _NONE else [item]
    if "properties" in schema:
        made = {name: _example(field, schemas) for name, field in schema["properties"].items()}
        return {name: value for name, value in made.items() if value is not _NONE}
    return _NONE

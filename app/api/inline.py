"""Inline: a request that an endpoint reads by itself, described in the OpenAPI document all the same."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


def schema(model: type[BaseModel]) -> dict[str, Any]:
    """Returns a model's JSON schema in one piece, for where the document's components cannot be pointed at."""
    whole = model.model_json_schema()
    parts = whole.pop("$defs", {})

    def resolve(node: Any) -> Any:
        if isinstance(node, list):
            return [resolve(item) for item in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            rest = {key: value for key, value in node.items() if key != "$ref"}
            return {**resolve(parts[node["$ref"].rpartition("/")[2]]), **resolve(rest)}
        # A discriminator points at components, of which there are none here; each kind says its `type` itself.
        return {key: resolve(value) for key, value in node.items() if key != "discriminator"}

    described: dict[str, Any] = resolve(whole)
    return described

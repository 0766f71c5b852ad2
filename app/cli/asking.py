"""Asking: what commands that ask a running service share: its client, and how a comparison is put (ACCORD_URL)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli import arguments as arg
from app.settings import Settings

if TYPE_CHECKING:
    from app.client import Client

_MODEL = (
    "A model of the service, by name or id; or builtin:NAME, hf:ORG/NAME[@REVISION], timm:NAME, features:FILE, "
    "training:ID/a."
)
_PROBE = (
    "A probe set of the service, by name or id; or builtin:NAME, a file to upload, or training:ID, the items that come "
    "with a training's models."
)
Model = Annotated[str, typer.Argument(metavar="A", help=_MODEL)]
Other = Annotated[str, typer.Argument(metavar="B", help="The other, likewise; it may be the same.")]
Probe = Annotated[str, typer.Option(metavar="P", help=_PROBE)]
Samples = Annotated[int, typer.Option(metavar="N", help="How many items to draw; all if there are fewer.")]


def client() -> Client:
    """Returns the service that the settings name, to be used as a context."""
    from app.client import Client

    settings = Settings.load()
    return Client(settings.url, settings.key.get_secret_value() if settings.key else None)


def comparison(
    client: Client,
    model_a: str,
    model_b: str,
    probe: str,
    metrics: list[str] | None,
    layers: list[str] | None,
    pooling: list[str] | None,
    samples: int,
    seed: int,
) -> dict[str, Any]:
    """Returns a comparison as the service takes it, its models and probe set made known there if need be.

    Raises:
        RequestError: if an option has no meaning, or the service refuses what it is told.
    """
    from app.client.sources import model_named, probe_named

    pool = arg.both_sides("pooling", pooling, "mean", str)
    kept = arg.both_sides("layers", layers, "all", arg.layers)
    one_for_both = kept[0] == kept[1] and isinstance(kept[0], str)
    return {
        "model_a": model_named(client, model_a),
        "model_b": model_named(client, model_b),
        "probe": probe_named(client, probe),
        "metrics": [_metric(text) for text in metrics or ["mutual_knn"]],
        "layers": kept[0] if one_for_both else dict(zip("ab", kept, strict=True)),
        "pooling": dict(zip("ab", pool, strict=True)),
        "samples": samples,
        "seed": seed,
    }


def _metric(text: str) -> str | dict[str, Any]:
    name, colon, rest = text.partition(":")
    if not colon:
        return name
    return {"name": name, "params": dict(part.partition("=")[::2] for part in rest.split(","))}

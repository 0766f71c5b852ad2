"""`accord metrics`, `accord models`, `accord probes` and `accord settings`: what there is."""

from __future__ import annotations

import json as json_format
from collections.abc import Sequence
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.cli import arguments as arg
from app.settings import Settings


def register(cli: typer.Typer) -> None:
    """Adds the commands."""
    for command in (metrics, models, probes, settings):
        cli.command()(command)


def metrics(json: arg.Json = False) -> None:
    """List the metrics, with their parameters."""
    from alignment.metrics import METRICS

    facts = [metric.facts() for metric in METRICS.values()]
    rows = [
        (
            f["name"],
            f["summary"],
            ", ".join(f"{n}={s['default']}" for n, s in f["params"]["properties"].items()),
            f["reference"],
        )
        for f in facts
    ]
    _print(facts, ("metric", "what it is", "parameters", "source"), rows, as_json=json)


def models(json: arg.Json = False) -> None:
    """List the built-in models."""
    from alignment.models import builtin_models

    facts = [
        {"name": m.name, "title": m.title, "modality": m.modality, "licence": m.licence, "package": m.package}
        for m in builtin_models()
    ]
    rows = [(f"builtin:{f['name']}", f["modality"], f["title"], f["licence"]) for f in facts]
    _print(facts, ("model", "takes", "what it is", "licence"), rows, as_json=json)


def probes(json: arg.Json = False) -> None:
    """List the built-in probe sets."""
    from alignment.probes import builtin_probes

    facts = [{"name": p.name, "title": p.title, "kind": p.kind, "licence": p.licence} for p in builtin_probes()]
    rows = [(f"builtin:{f['name']}", f["kind"], f["title"], f["licence"]) for f in facts]
    _print(facts, ("probe set", "kind", "what it is", "licence"), rows, as_json=json)


def settings(json: arg.Json = False) -> None:
    """List the settings, with their values here."""
    values = Settings()
    facts = [
        {"name": f"ACCORD_{name.upper()}", "value": str(getattr(values, name)), "summary": field.description}
        for name, field in Settings.model_fields.items()
    ]
    rows = [(f["name"], f["value"], f["summary"]) for f in facts]
    _print(facts, ("variable", "value", "what it is"), rows, as_json=json)


def _print(facts: Any, heads: Sequence[str], rows: Sequence[Sequence[Any]], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json_format.dumps(facts, indent=2))
        return
    table = Table(*heads)
    for row in rows:
        table.add_row(*(escape(str(value)) for value in row))
    Console(highlight=False).print(table)

"""`accord metrics`, `accord models`, `accord probes` and `accord settings`: what there is."""

from __future__ import annotations

import json as json_format
from collections.abc import Sequence
from typing import Any

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from app.cli import arguments as arg
from app.cli.console import screen
from app.settings import Settings, variable


def register(cli: typer.Typer) -> None:
    """Adds the commands."""
    for command in (metrics, models, probes, settings):
        cli.command()(command)


def metrics(json: arg.Json = False) -> None:
    """List the metrics, with their parameters."""
    from alignment.metrics import METRICS

    facts = [metric.facts() for metric in METRICS.values()]
    rows = [(f["name"], f"{f['summary']} ({f['reference']}){_parameters(f)}") for f in facts]
    note = "accord compare … --metric NAME, or NAME:PARAMETER=VALUE,…, or all"
    _print(facts, ("metric", "what it is"), rows, note, as_json=json)


def models(json: arg.Json = False) -> None:
    """List the built-in models."""
    from alignment.models import builtin_models

    facts = [
        {"name": m.name, "title": m.title, "modality": m.modality, "licence": m.licence, "package": m.package}
        for m in builtin_models()
    ]
    rows = [(f"builtin:{f['name']}", f["modality"], f["title"], f["licence"]) for f in facts]
    note = "and hf:ORG/NAME[@REVISION], timm:NAME[@REVISION], path:DIR, features:FILE"
    _print(facts, ("model", "takes", "what it is", "licence"), rows, note, as_json=json)


def probes(json: arg.Json = False) -> None:
    """List the built-in probe sets."""
    from alignment.probes import builtin_probes
    from alignment.probes.readers import READERS

    facts = [{"name": p.name, "title": p.title, "kind": p.kind, "licence": p.licence} for p in builtin_probes()]
    rows = [(f"builtin:{f['name']}", f["kind"], f["title"], f["licence"]) for f in facts]
    note = f"and a folder of images, or a file: {', '.join(READERS)}"
    _print(facts, ("probe set", "kind", "what it is", "licence"), rows, note, as_json=json)


def settings(json: arg.Json = False) -> None:
    """List the settings, with their values here."""
    values = Settings.load()
    facts = [
        {"name": variable(name), "value": str(getattr(values, name)), "summary": field.description}
        for name, field in Settings.model_fields.items()
    ]
    rows = [(f["name"], f["value"], f["summary"]) for f in facts]
    note = "set as environment variables, or in a file .env in the folder where accord is run"
    _print(facts, ("variable", "value here", "what it is"), rows, note, as_json=json)


def _parameters(facts: Any) -> str:
    named = facts["params"]["properties"].items()
    return "".join(f"\n  {name}={schema['default']}: {schema['description']}" for name, schema in named)


def _print(facts: Any, heads: Sequence[str], rows: Sequence[Sequence[Any]], note: str, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json_format.dumps(facts, indent=2))
        return
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, caption=escape(note), caption_justify="left")
    for head in heads:
        # What is to be typed stays whole, however narrow the screen.
        table.add_column(head, no_wrap=head == heads[0], overflow="fold", min_width=_longest(rows, heads, head))
    for row in rows:
        table.add_row(*(escape(str(value)) for value in row))
    screen().print(table)


def _longest(rows: Sequence[Sequence[Any]], heads: Sequence[str], head: str) -> int | None:
    return max(len(str(row[0])) for row in rows) if head == heads[0] else None

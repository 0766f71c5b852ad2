"""`accord schedule`: the comparisons and studies that a running service repeats (ACCORD_URL, ACCORD_KEY)."""

from __future__ import annotations

import json as json_format
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from alignment.errors import RequestError
from app.cli import arguments as arg
from app.cli import asking
from app.cli.console import screen

if TYPE_CHECKING:
    from app.client import Client

_WHOLE = {"schedule": 30, "due, job": 30, "next": 20}  # columns of ids and moments, which are not broken
cli = typer.Typer(help="Comparisons that a service repeats.", no_args_is_help=True)
Id = Annotated[str, typer.Argument(metavar="ID", help="The schedule.")]


def register(parent: typer.Typer) -> None:
    """Adds the group."""
    parent.add_typer(cli, name="schedule")


@cli.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is called.")],
    model_a: asking.Model,
    model_b: asking.Other,
    probe: asking.Probe,
    cron: Annotated[str, typer.Option(metavar="CRON", help="When: five fields, as `0 3 * * *`.")],
    timezone: Annotated[str, typer.Option(metavar="ZONE", help="Whose clock: an IANA name, as Europe/Berlin.")] = "UTC",
    metric: arg.Metrics = None,
    layers: arg.LayerChoice = None,
    pooling: arg.PoolingChoice = None,
    samples: asking.Samples = 1024,
    seed: arg.Seed = 0,
    alert: Annotated[
        str | None, typer.Option(metavar="METRIC:below|above|drop=X", help="When to raise an alert.")
    ] = None,
    webhook: Annotated[str | None, typer.Option(metavar="URL", help="Who is told of an alert.")] = None,
    json: arg.Json = False,
) -> None:
    """Make a schedule, and print its id."""
    if webhook is not None and alert is None:
        raise RequestError("--webhook is told of an alert; say with --alert when there is one")
    told = None if alert is None else {**_alert(alert), "webhook_url": webhook}
    with asking.client() as client:
        body: dict[str, Any] = {
            "name": name,
            "cron": cron,
            "timezone": timezone,
            "comparison": asking.comparison(client, model_a, model_b, probe, metric, layers, pooling, samples, seed),
            "alert": told,
        }
        made = client.post("/v1/schedules", body)
    _say(made, made["id"], as_json=json)


@cli.command(name="list")
def list_schedules(json: arg.Json = False) -> None:
    """List the schedules, newest first."""
    with asking.client() as client:
        items = _all(client, "/v1/schedules")
    rows = [
        (f"{item['name']}\n{item['id']}", f"{item['cron']}\n{item['timezone']}", _state(item), _measured(item))
        for item in items
    ]
    _list(items, ("schedule", "when", "next", "what"), rows, "there are no schedules", as_json=json)


@cli.command(name="runs")
def list_runs(schedule: Id, json: arg.Json = False) -> None:
    """List what a schedule has measured, newest first."""
    with asking.client() as client:
        items = _all(client, f"/v1/schedules/{schedule}/runs")
    rows = [(f"{_time(item['due_at'])}\n{item['job'] or ''}", item["outcome"], _scores(item)) for item in items]
    _list(items, ("due, job", "outcome", "score (calibrated)"), rows, "it has not run yet", as_json=json)


@cli.command()
def run(schedule: Id, json: arg.Json = False) -> None:
    """Run a schedule now, besides when it is due; print the run's id."""
    with asking.client() as client:
        made = client.post(f"/v1/schedules/{schedule}/run")
    _say(made, made["id"], as_json=json)


@cli.command()
def pause(schedule: Id, json: arg.Json = False) -> None:
    """Let a schedule rest."""
    _change(schedule, {"paused": True}, as_json=json)


@cli.command()
def resume(schedule: Id, json: arg.Json = False) -> None:
    """Let a schedule go on."""
    _change(schedule, {"paused": False}, as_json=json)


@cli.command()
def delete(schedule: Id, json: arg.Json = False) -> None:
    """Delete a schedule, with its history."""
    with asking.client() as client:
        client.delete(f"/v1/schedules/{schedule}")
    _say({"id": schedule, "deleted": True}, f"{schedule} is deleted", as_json=json)


def _change(schedule: str, change: Mapping[str, Any], *, as_json: bool) -> None:
    with asking.client() as client:
        item = client.patch(f"/v1/schedules/{schedule}", change)
    state = "is paused" if item["paused"] else f"is next due {_state(item)}"
    _say(item, f"{item['id']} {state}", as_json=as_json)


def _alert(text: str) -> dict[str, Any]:
    head, equals, number = text.rpartition("=")
    metric, colon, kind = head.rpartition(":")
    try:
        if not equals or not colon or kind not in ("below", "above", "drop"):
            raise ValueError(text)
        return {"metric": metric, kind: float(number)}
    except ValueError:
        raise RequestError(f"--alert {text!r}: write METRIC:below=X, METRIC:above=X or METRIC:drop=X") from None


def _all(client: Client, path: str) -> list[Any]:
    items: list[Any] = []
    cursor = None
    while True:
        page = client.get(path, limit=200, cursor=cursor)
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return items


def _state(item: Mapping[str, Any]) -> str:
    return "paused" if item["paused"] else _time(item["next_at"])


def _measured(item: Mapping[str, Any]) -> str:
    """Returns what a schedule repeats, and whether its last score raised an alert."""
    compared, studied = item["comparison"], item["study"]
    models = studied["models"] if compared is None else (compared["model_a"], compared["model_b"])
    what = f"{', '.join(models)} on {(compared or studied)['probe']}"
    return f"{what}; alert" if item["alerting"] else what


def _scores(item: Mapping[str, Any]) -> str:
    """Returns a run's scores, or why it has none."""
    if not item["scores"]:
        return item["detail"] or ""
    told = [
        f"{key} {_number(found['score'])} ({_number(found['calibrated'])})" for key, found in item["scores"].items()
    ]
    return ", ".join(told) + ("; alert" if item["alerted"] else "")


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def _time(text: str) -> str:
    """Returns a moment to the second.

    >>> _time("2026-11-25T01:30:00.412000Z")
    '2026-11-25T01:30:00Z'
    """
    return f"{text[:19]}Z"


def _say(found: Any, line: str, *, as_json: bool) -> None:
    typer.echo(json_format.dumps(found, indent=2) if as_json else line)


def _list(
    items: Sequence[Any], heads: Sequence[str], rows: Sequence[Sequence[str]], none: str, *, as_json: bool
) -> None:
    if as_json:
        typer.echo(json_format.dumps(items, indent=2))
        return
    if not rows:
        typer.echo(none, err=True)
        return
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for head in heads:
        table.add_column(head, overflow="fold", min_width=_WHOLE.get(head))
    for row in rows:
        table.add_row(*map(escape, row))
    screen().print(table)

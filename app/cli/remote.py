"""`accord submit`, `watch` and `schedule`: the same requests to a running service (ACCORD_URL, ACCORD_KEY)."""

from __future__ import annotations

import json as json_format
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alignment.errors import RequestError, WorkError
from app.cli import arguments as arg
from app.cli.console import following, screen, table, warn
from app.settings import Settings

if TYPE_CHECKING:
    from app.client import Client

_KINDS = {"cmp": "comparisons", "std": "studies", "trn": "trainings"}
_MODEL = (
    "A model of the service, by name or id; or builtin:NAME, hf:ORG/NAME[@REVISION], timm:NAME, features:FILE, "
    "training:ID/a."
)
_PROBE = "A probe set of the service, by name or id; or builtin:NAME, or a file to upload."
Model = Annotated[str, typer.Argument(metavar="A", help=_MODEL)]
Other = Annotated[str, typer.Argument(metavar="B", help="The other, likewise; it may be the same.")]
Probe = Annotated[str, typer.Option(metavar="P", help=_PROBE)]
Samples = Annotated[int, typer.Option(metavar="N", help="How many items to draw; all if there are fewer.")]
schedules = typer.Typer(help="Comparisons that a service repeats.", no_args_is_help=True)


def register(cli: typer.Typer) -> None:
    """Adds the commands."""
    cli.command()(submit)
    cli.command()(watch)
    cli.add_typer(schedules, name="schedule")


def submit(
    model_a: Model,
    model_b: Other,
    probe: Probe,
    metric: arg.Metrics = None,
    layers: arg.LayerChoice = None,
    pooling: arg.PoolingChoice = None,
    samples: Samples = 1024,
    seed: arg.Seed = 0,
    permutations: arg.Permutations = 200,
    resamples: arg.Resamples = 200,
    clip: arg.Clip = True,
    normalize: arg.Normalize = True,
    device: arg.Device = "auto",
    dtype: arg.Dtype = "auto",
    priority: Annotated[int, typer.Option(metavar="N", min=1, max=10, help="1 to 10, lower first.")] = 5,
    follow: Annotated[bool, typer.Option("--watch", help="Follow it to its end, and print the result.")] = False,
    json: arg.Json = False,
) -> None:
    """Queue a comparison with a running service; print its id."""
    with _client() as client:
        body = {
            **_request(client, model_a, model_b, probe, metric, layers, pooling, samples, seed),
            "calibration": {"permutations": permutations, "resamples": resamples},
            "preprocess": {"clip": 0.95 if clip else None, "normalize": normalize},
            "device": device,
            "dtype": dtype,
            "priority": priority,
        }
        job = client.post("/v1/comparisons", body)
        if follow:
            _follow(client, job["id"], as_json=json)
        else:
            typer.echo(json_format.dumps(job) if json else job["id"])


def submit_training(request: Mapping[str, Any], *, follow: bool, as_json: bool) -> None:
    """Queues a training with a running service; prints its id, or its result.

    Args:
        request: what is asked for; None for what the recipe is to decide, and data may be a file to upload.
        follow: whether it is followed to its end.
        as_json: whether JSON is printed.
    """
    from app.client.sources import probe_named

    with _client() as client:
        body = {name: value for name, value in request.items() if value is not None}
        if "data" in body:
            body["data"] = probe_named(client, body["data"])
        job = client.post("/v1/trainings", body)
        if follow:
            _follow(client, job["id"], as_json=as_json)
        else:
            typer.echo(json_format.dumps(job) if as_json else job["id"])


def watch(
    job: Annotated[str, typer.Argument(metavar="ID", help="A comparison, study or training.")], json: arg.Json = False
) -> None:
    """Follow a job of a running service; print its result."""
    with _client() as client:
        _follow(client, job, as_json=json)


@schedules.command(name="create")
def create_schedule(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is called.")],
    model_a: Model,
    model_b: Other,
    probe: Probe,
    cron: Annotated[str, typer.Option(metavar="CRON", help="When: five fields, as `0 3 * * *`.")],
    timezone: Annotated[str, typer.Option(metavar="ZONE", help="Whose clock: an IANA name, as Europe/Berlin.")] = "UTC",
    metric: arg.Metrics = None,
    layers: arg.LayerChoice = None,
    pooling: arg.PoolingChoice = None,
    samples: Samples = 1024,
    seed: arg.Seed = 0,
    alert: Annotated[
        str | None, typer.Option(metavar="METRIC:below|above|drop=X", help="When to raise an alert.")
    ] = None,
    webhook: Annotated[str | None, typer.Option(metavar="URL", help="Who is told of an alert.")] = None,
) -> None:
    """Make a schedule, and print its id."""
    with _client() as client:
        body: dict[str, Any] = {
            "name": name,
            "cron": cron,
            "timezone": timezone,
            "comparison": _request(client, model_a, model_b, probe, metric, layers, pooling, samples, seed),
        }
        if alert is not None:
            body["alert"] = {**_alert(alert), "webhook_url": webhook}
        typer.echo(client.post("/v1/schedules", body)["id"])


@schedules.command(name="list")
def list_schedules(json: arg.Json = False) -> None:
    """List the schedules."""
    with _client() as client:
        items = _all(client, "/v1/schedules")
    if json:
        typer.echo(json_format.dumps(items, indent=2))
        return
    for item in items:
        state = "paused" if item["paused"] else f"next {item['next_at']}"
        typer.echo(f"{item['id']}  {item['name']}  {item['cron']} {item['timezone']}  {state}")


@schedules.command(name="runs")
def list_runs(
    schedule: Annotated[str, typer.Argument(metavar="ID", help="The schedule.")], json: arg.Json = False
) -> None:
    """List what a schedule has measured, newest first."""
    with _client() as client:
        items = _all(client, f"/v1/schedules/{schedule}/runs")
    if json:
        typer.echo(json_format.dumps(items, indent=2))
        return
    for item in items:
        found = {key: facts["score"] for key, facts in (item["scores"] or {}).items()}
        scores = ", ".join(f"{key} {'none' if score is None else f'{score:.4g}'}" for key, score in found.items())
        typer.echo(f"{item['due_at']}  {item['outcome']}  {scores or item['detail'] or ''}")


@schedules.command()
def run(schedule: Annotated[str, typer.Argument(metavar="ID", help="The schedule.")]) -> None:
    """Run a schedule now, besides when it is due."""
    with _client() as client:
        typer.echo(client.post(f"/v1/schedules/{schedule}/run")["id"])


@schedules.command()
def pause(schedule: Annotated[str, typer.Argument(metavar="ID", help="The schedule.")]) -> None:
    """Let a schedule rest."""
    with _client() as client:
        client.patch(f"/v1/schedules/{schedule}", {"paused": True})


@schedules.command()
def resume(schedule: Annotated[str, typer.Argument(metavar="ID", help="The schedule.")]) -> None:
    """Let a schedule go on."""
    with _client() as client:
        client.patch(f"/v1/schedules/{schedule}", {"paused": False})


@schedules.command()
def delete(schedule: Annotated[str, typer.Argument(metavar="ID", help="The schedule.")]) -> None:
    """Delete a schedule, with its history."""
    with _client() as client:
        client.delete(f"/v1/schedules/{schedule}")


def _client() -> Client:
    from app.client import Client

    settings = Settings.load()
    return Client(settings.url, settings.key.get_secret_value() if settings.key else None)


def _request(
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


def _follow(client: Client, job_id: str, *, as_json: bool) -> None:
    kind = _KINDS.get(job_id.partition("_")[0])
    if kind is None:
        raise RequestError(f"{job_id!r} is no job's id; they begin with {', '.join(_KINDS)}")
    job: Mapping[str, Any] = following(client.follow(f"/v1/{kind}/{job_id}"))
    if as_json:
        typer.echo(json_format.dumps(job["result"] if job["status"] == "succeeded" else job, indent=2))
    if job["status"] == "failed":
        raise WorkError(f"{job_id} failed: {job['error']['detail']}")
    if job["status"] == "cancelled":
        raise WorkError(f"{job_id} was cancelled")
    if not as_json:
        _print(kind, job["result"])


def _print(kind: str, result: Mapping[str, Any]) -> None:
    if kind == "comparisons":
        from alignment.report import AlignmentReport

        report = AlignmentReport.from_dict(result)
        warn(report)
        screen().print(table(report))
    else:
        typer.echo(json_format.dumps(result, indent=2))

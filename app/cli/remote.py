"""`accord submit`, `watch` and `cancel`: jobs of a running service (ACCORD_URL, ACCORD_KEY)."""

from __future__ import annotations

import json as json_format
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alignment.errors import RequestError, WorkError
from app.cli import arguments as arg
from app.cli import asking
from app.cli.console import following, screen, table, warn

if TYPE_CHECKING:
    from app.client import Client

_KINDS = {"cmp": "comparisons", "std": "studies", "trn": "trainings"}
Job = Annotated[str, typer.Argument(metavar="ID", help="A comparison, study or training.")]


class LeftError(Exception):
    """Ctrl-C while a job was followed: the job goes on, and the message says how to come back to it."""


def register(cli: typer.Typer) -> None:
    """Adds the commands."""
    for command in (submit, watch, cancel):
        cli.command()(command)


def submit(
    model_a: asking.Model,
    model_b: asking.Other,
    probe: asking.Probe,
    metric: arg.Metrics = None,
    layers: arg.LayerChoice = None,
    pooling: arg.PoolingChoice = None,
    samples: asking.Samples = 1024,
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
    with asking.client() as client:
        body = {
            **asking.comparison(client, model_a, model_b, probe, metric, layers, pooling, samples, seed),
            "calibration": {"permutations": permutations, "resamples": resamples},
            "preprocess": {"clip": 0.95 if clip else None, "normalize": normalize},
            "device": device,
            "dtype": dtype,
            "priority": priority,
        }
        _queue(client, "/v1/comparisons", body, follow=follow, as_json=json)


def submit_training(request: Mapping[str, Any], *, follow: bool, as_json: bool) -> None:
    """Queues a training with a running service; prints its id, or its result.

    Args:
        request: what is asked for; None for what the recipe is to decide, and data may be a file to upload.
        follow: whether it is followed to its end.
        as_json: whether JSON is printed.
    """
    from app.client.sources import probe_named

    with asking.client() as client:
        body = {name: value for name, value in request.items() if value is not None}
        if "data" in body:
            body["data"] = probe_named(client, body["data"])
        _queue(client, "/v1/trainings", body, follow=follow, as_json=as_json)


def watch(job: Job, json: arg.Json = False) -> None:
    """Follow a job of a running service; print its result."""
    path = _path(job)
    with asking.client() as client:
        _follow(client, path, as_json=json)


def cancel(job: Job, json: arg.Json = False) -> None:
    """Stop a job of a running service, queued or running."""
    path = _path(job)
    with asking.client() as client:
        found = client.post(f"{path}/cancel")
    if json:
        typer.echo(json_format.dumps(found, indent=2))
    else:
        typer.echo(f"{job} {'was' if found['status'] == 'cancelled' else 'has'} {found['status']}")


def _queue(client: Client, path: str, body: Mapping[str, Any], *, follow: bool, as_json: bool) -> None:
    job = client.post(path, body)
    if follow:
        _follow(client, f"{path}/{job['id']}", as_json=as_json)
    else:
        typer.echo(json_format.dumps(job) if as_json else job["id"])


def _path(job: str) -> str:
    kind = _KINDS.get(job.partition("_")[0])
    if kind is None:
        raise RequestError(f"{job!r} is no job's id; they begin with {', '.join(_KINDS)}")
    return f"/v1/{kind}/{job}"


def _follow(client: Client, path: str, *, as_json: bool) -> None:
    from app.client.client import ServiceError

    job_id = path.rpartition("/")[2]
    back = f"follow it with `accord watch {job_id}`, or stop it with `accord cancel {job_id}`"
    try:
        job = following(client.follow(path))
    except KeyboardInterrupt:
        raise LeftError(f"{job_id} goes on without being watched: {back}") from None
    except ServiceError as error:
        raise ServiceError(f"{error}; {job_id} may go on: {back}") from error
    if as_json:
        typer.echo(json_format.dumps(job["result"] if job["status"] == "succeeded" else job, indent=2))
    if job["status"] == "failed":
        raise WorkError(f"{job_id} failed: {job['error']['detail']}")
    if job["status"] == "cancelled":
        raise WorkError(f"{job_id} was cancelled")
    if not as_json:
        _print(job)


def _print(job: Mapping[str, Any]) -> None:
    """Prints a result as the command that makes one here does."""
    kind, result = _KINDS[job["id"].partition("_")[0]], job["result"]
    if kind == "comparisons":
        from alignment.report import AlignmentReport

        report = AlignmentReport.from_dict(result)
        warn(report)
        screen().print(table(report))
    elif kind == "studies":
        from alignment.report.study_reading import read_study
        from app.cli.study_output import show

        show(read_study(result), as_json=False, out=None)
    else:
        from app.cli import training_table

        training_table.warn(result)
        probe = result["probe"] or f"training:{job['id']}"
        training_table.print_training(
            result,
            f"{_seconds(job):.0f} s",
            f"accord submit {job['id']}/a {job['id']}/b --probe {probe} --metric cka --no-clip --no-normalize --watch",
        )


def _seconds(job: Mapping[str, Any]) -> float:
    """Returns how long a job took from when work on it first began."""
    began, ended = (datetime.fromisoformat(job[name]) for name in ("started_at", "finished_at"))
    return (ended - began).total_seconds()

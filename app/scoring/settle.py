"""settle(): what the end of a comparison, study or extraction changes beside its own row, in the same transaction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping

from app.jobs.handler import FIGURES
from app.models.service import fill
from app.scoring.extraction import KIND, sides_of
from app.scoring.hiding import MODEL, PROBE
from app.storage import counters
from app.storage.tables import job_parts, jobs

Count = tuple[str, tuple[tuple[str, str], ...], float]  # a counter, its labels, what is added


def settle(connection: Connection, job: RowMapping, result: Mapping[str, Any] | None) -> None:
    """Fills in what is known of the models now, has an error name this job's model, and counts.

    Counters come last and in one order, so that of two jobs that end together none waits for the other in a circle.
    Chain it behind whatever else a job's end changes.
    """
    figures = {} if result is None else result.get(FIGURES, {})
    for model_id, facts in sorted(figures.get("models", {}).items()):
        fill(connection, model_id, **facts)
    if job["state"] == "failed" and job["kind"] != KIND:
        _name(connection, job)
    for name, labels, value in sorted(_counts(connection, job, figures)):
        counters.add(connection, name, value, **dict(labels))


def _name(connection: Connection, job: RowMapping) -> None:
    """Puts this job's names into an error that comes from an extraction, which knows none."""
    error, payload = job["error"], job["payload"]
    side = sides_of(payload).get(error["stage"] or "")
    if side is None:
        return
    detail = error["detail"].replace(MODEL, side["name"]).replace(PROBE, payload["probe"]["name"])
    named = {**error, "model": side["name"], "detail": detail}
    connection.execute(jobs.update().where(jobs.c.id == job["id"]).values(error=named))


def _counts(connection: Connection, job: RowMapping, figures: Mapping[str, Any]) -> Iterator[Count]:
    kind = ("kind", job["kind"])
    yield "accord_jobs_ended", (kind, ("state", job["state"])), 1
    for stage, seconds in figures.get("stages", {}).items():
        stage = "extract" if stage.startswith("extract_") else stage  # which side it was is no figure
        yield "accord_stage_seconds", (kind, ("stage", stage)), seconds
        yield "accord_stage_runs", (kind, ("stage", stage)), 1
    if "peak" in figures:
        yield "accord_device_peak_bytes", (("device", figures["peak"]["device"]),), figures["peak"]["bytes"]
    if figures.get("forward_items"):
        yield "accord_forward_items", (), figures["forward_items"]
    if job["kind"] != KIND and job["state"] == "succeeded":
        asked = sa.select(sa.func.count()).where(job_parts.c.job_id == job["id"])
        made = connection.execute(asked).scalar_one()
        sides = [side for side in sides_of(job["payload"]).values() if not side["reference"].startswith("features:")]
        yield "accord_activations_made", (), made
        yield "accord_activations_found", (), len(sides) - made

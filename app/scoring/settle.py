"""What the end of a comparison, study or extraction changes beside its own row, in the same transaction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping

from app.jobs.handler import FIGURES
from app.models.service import fill
from app.scoring.extraction import sides_of
from app.scoring.hiding import MODEL, PROBE
from app.storage import counters
from app.storage.tables import job_parts, jobs

Count = tuple[str, tuple[tuple[str, str], ...], float]  # a counter, its labels, what is added


def settle(connection: Connection, job: RowMapping, result: Mapping[str, Any] | None) -> None:
    """Fills in what is known of the models now, and has an error name this job's model.

    Chain what tells of the error behind it.
    """
    for model_id, facts in sorted(_figures(result).get("models", {}).items()):
        fill(connection, model_id, **facts)
    if job["state"] == "failed":
        named = told(job, job["error"])
        connection.execute(jobs.update().where(jobs.c.id == job["id"]).values(error=named))


def count(connection: Connection, job: RowMapping, result: Mapping[str, Any] | None) -> None:
    """Counts what a job of any kind took.

    Chain it last: every end of a job wants the same few rows, and whoever has them is to wait for nothing more.
    """
    for name, labels, value in sorted(_counts(connection, job, _figures(result))):
        counters.add(connection, name, value, **dict(labels))


def _figures(result: Mapping[str, Any] | None) -> Mapping[str, Any]:
    found: Mapping[str, Any] = {} if result is None else result.get(FIGURES, {})
    return found


def told(job: RowMapping, error: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns an error with this job's names in it: that of an extraction, which knows none."""
    payload = job["payload"]
    side = sides_of(payload).get(error["stage"] or "")
    if side is None:
        return error
    detail = error["detail"].replace(MODEL, side["name"]).replace(PROBE, payload["probe"]["name"])
    return {**error, "model": side["name"], "detail": detail}


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
    if job["kind"] in ("comparison", "study") and job["state"] == "succeeded":
        # A side that was made again, for what the store had of it was gone, was made.
        asked = sa.select(sa.func.count(job_parts.c.role.distinct())).where(job_parts.c.job_id == job["id"])
        made = connection.execute(asked).scalar_one()
        sides = [side for side in sides_of(job["payload"]).values() if not side["reference"].startswith("features:")]
        yield "accord_activations_made", (), made
        yield "accord_activations_found", (), len(sides) - made

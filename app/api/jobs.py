"""Jobs as they are shown: a team's own alone, each kind under its own path. Parts that jobs share are never shown."""

from __future__ import annotations

import re
import zlib
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa
from pydantic import BaseModel, Field
from pydantic_core import to_json
from sqlalchemy import Connection, RowMapping

from app.api.times import moment
from app.problems import not_found
from app.storage.tables import jobs, results

Status = Literal["queued", "running", "succeeded", "failed", "cancelled"]
FINAL = ("succeeded", "failed", "cancelled")
_ID = re.compile(r"[a-z]{3}_[0-9a-z]{26}")
FACTS = (
    jobs.c.id,
    jobs.c.state,
    jobs.c.created_at,
    jobs.c.started_at,
    jobs.c.finished_at,
    jobs.c.attempts,
    jobs.c.progress,
    jobs.c.error,
    jobs.c.version,
    jobs.c.parks,
    jobs.c.retry_at,
)


class Progress(BaseModel):
    """How far a job is."""

    stage: str = Field(
        description="what is being done: `extract_a`, `extract_b` (a study: `extract_1`, …), `score`, `calibrate`, "
        "`predict`, `train`, `store`",
        examples=["extract_a"],
    )
    done: int = Field(description="how much of the stage is done", examples=[3])
    total: int = Field(description="of how much", examples=[8])
    eta_seconds: float | None = Field(
        None, description="seconds that the stage will still take at its pace so far", examples=[12.0]
    )


class JobError(BaseModel):
    """Why a job failed; of one that is still to be tried again, why it failed the last time."""

    stage: str | None = Field(description="the stage that it failed in; null before the first", examples=["extract_b"])
    model: str | None = Field(description="the model that was worked on, if one was", examples=["model_b"])
    detail: str = Field(
        description="what was wrong and what to do about it",
        examples=["the hub has no model 'org/nam'; check its name, or ask for access to it"],
    )


class Event(BaseModel):
    """What an event says; one that has ended says `succeeded`, `failed` or `cancelled`, and is the last."""

    id: str = Field(description="the job", examples=["cmp_01jdfq5n0v8m3k7r2x9yzw4abc"])
    status: Status = Field(description="where it is", examples=["succeeded"])
    created_at: datetime = Field(description="when it was asked for", examples=["2026-11-24T15:28:53.120000Z"])
    started_at: datetime | None = Field(
        description="when work on it first began; null before", examples=["2026-11-24T15:28:53.480000Z"]
    )
    finished_at: datetime | None = Field(
        description="when it ended; null before", examples=["2026-11-24T15:29:20.070000Z"]
    )
    attempts: int = Field(description="how often it was tried for its own sake", examples=[1])
    progress: Progress | None = Field(
        description="how far it is; null before it says so",
        examples=[{"stage": "store", "done": 0, "total": 1, "eta_seconds": None}],
    )
    error: JobError | None = Field(
        description="why it failed; null if it did not",
        examples=[None, {"stage": "extract_b", "model": "model_b", "detail": "the hub has no model 'org/nam'; …"}],
    )


def status_of(row: RowMapping) -> str:
    """Returns a job's status as it is shown."""
    state: str = row["state"]
    woken = state == "queued" and row["parks"] > 0 and row["retry_at"] is None and row["error"] is None
    return "running" if state == "waiting" or woken else state


def shown_as(status: Status) -> sa.ColumnElement[bool]:
    """Returns the condition that a row is shown as `status`.

    A job that waits for its parts is being worked on, as far as whoever asked for it is concerned; so is one whose
    parts are there, until a worker has it in hand again. What failed for now and is to be tried again is queued.
    """
    if status not in ("queued", "running"):
        return jobs.c.state == status
    # An error that is not there may be JSON's null or the database's.
    calm = sa.func.coalesce(sa.cast(jobs.c.error, sa.String), "null") == "null"
    woken = sa.and_(jobs.c.state == "queued", jobs.c.parks > 0, jobs.c.retry_at.is_(None), calm)
    if status == "queued":
        return sa.and_(jobs.c.state == "queued", sa.not_(woken))
    return sa.or_(jobs.c.state.in_(("running", "waiting")), woken)


def event_of(row: RowMapping) -> dict[str, Any]:
    """Returns what an `Event` says of a row with `FACTS`."""
    return {
        "id": row["id"],
        "status": status_of(row),
        "created_at": moment(row["created_at"]),
        "started_at": moment(row["started_at"]),
        "finished_at": moment(row["finished_at"]),
        "attempts": row["attempts"],
        "progress": row["progress"],
        "error": row["error"],
    }


def item_of(row: RowMapping) -> dict[str, Any]:
    """Returns the same with the request: what a list shows of a job, whose result may be long."""
    return {**event_of(row), "request": row["request"]}


def write(row: RowMapping, result: bytes | None) -> bytes:
    """Returns a job as JSON, its result among it as it was written: it is neither read nor checked again."""
    return to_json(item_of(row))[:-1] + b',"result":' + (result or b"null") + b"}"


def find_job(
    connection: Connection, team: str, kind: str, job_id: str, columns: tuple[Any, ...] = (*FACTS, jobs.c.request)
) -> RowMapping:
    """Returns a team's job.

    Raises:
        Problem: 404 if there is none of that kind and id, or it is another team's.
    """
    if not _ID.fullmatch(job_id):  # nothing that is no id gets to the database, which cannot take every text
        raise not_found(kind, job_id)
    ours = (jobs.c.id == job_id, jobs.c.kind == kind, jobs.c.team_id == team, jobs.c.content.is_(None))
    row = connection.execute(sa.select(*columns).where(*ours)).mappings().one_or_none()
    if row is None:
        raise not_found(kind, job_id)
    return row


def result_text(connection: Connection, job_id: str) -> bytes | None:
    """Returns a job's result as JSON; None if it has none."""
    body = connection.execute(sa.select(results.c.body).where(results.c.job_id == job_id)).scalar_one_or_none()
    return None if body is None else zlib.decompress(body)

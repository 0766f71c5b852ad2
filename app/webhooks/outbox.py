"""Outbox: what is to be told is written in the transaction that makes it true, and sent afterwards (`courier`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping

from app.api.times import moment
from app.storage import new_id
from app.storage.tables import deliveries, jobs
from app.webhooks.summary import summary

_PLACES = {"comparison": "comparisons", "study": "studies", "training": "trainings"}


def enqueue(connection: Connection, *, team: str, url: str, event: str, content: Mapping[str, Any], at: float) -> str:
    """Writes a delivery, due at once; returns its id.

    Args:
        connection: the transaction that does what is told.
        team: whose secret signs it.
        url: where it goes.
        event: what happened, as `comparison.succeeded`.
        content: the body, beside `event`.
        at: now, by the database's clock.
    """
    delivery = new_id("delivery")
    body = json.dumps({"event": event, **content}, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    connection.execute(
        deliveries.insert().values(
            id=delivery, team_id=team, url=url, event=event, body=body, state="pending", next_at=at, created_at=at
        )
    )
    return delivery


def settle(connection: Connection, job: RowMapping, result: Mapping[str, Any] | None) -> None:
    """Writes the delivery of a job that has ended, if someone asked to be told.

    Chain it behind what names the models in a job's error.
    """
    if job["webhook_url"] is None:
        return
    content: dict[str, Any] = {
        "id": job["id"],
        "status": job["state"],
        "created_at": stamp(job["created_at"]),
        "finished_at": stamp(job["finished_at"]),
        "url": place(job["kind"], job["id"]),
    }
    if result is not None:
        content["scores"] = summary(job["kind"], result)
    if job["state"] == "failed":
        asked = sa.select(jobs.c.error).where(jobs.c.id == job["id"])
        content["error"] = connection.execute(asked).scalar_one()
    enqueue(
        connection,
        team=job["team_id"],
        url=job["webhook_url"],
        event=f"{job['kind']}.{job['state']}",
        content=content,
        at=job["finished_at"],
    )


def place(kind: str, job_id: str) -> str:
    """Returns the path of a job in the API.

    >>> place("study", "std_1")
    '/v1/studies/std_1'
    """
    return f"/v1/{_PLACES[kind]}/{job_id}"


def stamp(seconds: float | None) -> str | None:
    """Returns a moment as RFC 3339 in UTC.

    >>> stamp(0.0)
    '1970-01-01T00:00:00Z'
    """
    at = moment(seconds)
    return None if at is None else at.isoformat().replace("+00:00", "Z")

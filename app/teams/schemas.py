"""What is shown of a team to itself, and of what was done in it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field
from sqlalchemy import RowMapping

from app.api.times import moment
from app.settings import Settings


class Limits(BaseModel):
    """What a team, a key or a request may have at most."""

    requests: str = Field(description="requests of a key, as COUNT/PERIOD", examples=["6000/minute"])
    streams: int = Field(description="streams of events that a key may have open at once", examples=[100])
    body_mib: int = Field(description="MiB of a request's JSON", examples=[4])
    upload_mib: int = Field(description="MiB of an uploaded file", examples=[2048])
    stored_mib: int = Field(description="MiB of uploads and of trained models that the team may keep", examples=[20480])
    samples: int = Field(description="items that a request may ask for", examples=[100000])
    layers: int = Field(description="layers of a side that a request may name", examples=[256])
    metrics: int = Field(description="metrics that a request may ask for", examples=[32])
    queued: int = Field(
        description="comparisons, studies and trainings of the team that may be under way", examples=[2000]
    )
    running: int = Field(description="parts of the team's jobs that may run at once", examples=[8])

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """Returns the limits that the operator set."""
        return cls(
            requests=settings.rate_limit,
            streams=settings.max_streams,
            body_mib=settings.max_body_mib,
            upload_mib=settings.max_upload_mib,
            stored_mib=settings.max_stored_mib,
            samples=settings.max_samples,
            layers=settings.max_layers,
            metrics=settings.max_metrics,
            queued=settings.max_queued,
            running=settings.max_running,
        )


class Use(BaseModel):
    """What the team has now."""

    stored_bytes: int = Field(description="bytes of uploads and of trained models that it keeps", examples=[48213])
    queued: int = Field(description="its comparisons, studies and trainings that have not ended", examples=[3])
    models: int = Field(description="models that it has registered", examples=[12])
    probes: int = Field(description="probe sets that it has registered", examples=[2])


class Me(BaseModel):
    """Who asks, and what they may do."""

    team: str = Field(description="the team's name", examples=["default"])
    role: Literal["reader", "runner", "admin"] = Field(
        description="`reader` looks, `runner` registers and runs, `admin` also shares and sees the audit",
        examples=["runner"],
    )
    key: str | None = Field(
        description="the key's id, not the key; null from loopback while no key exists",
        examples=["key_01kb0000000000000000000000"],
    )
    limits: Limits = Field(description="what may be had at most")
    use: Use = Field(description="what the team has now")


class Entry(BaseModel):
    """Something that was done."""

    id: str = Field(description="the note's id", examples=["aud_01kb0000000000000000000000"])
    at: datetime = Field(description="when", examples=["2026-11-24T12:00:00Z"])
    key: str | None = Field(
        description="by which key, by its id; null from loopback without keys, or from the command line",
        examples=["key_01kb0000000000000000000000"],
    )
    action: str = Field(description="what", examples=["comparison.create"])
    resource: str | None = Field(
        description="the id of what it was done to", examples=["cmp_01kb0000000000000000000000"]
    )
    request_id: str | None = Field(
        description="the X-Request-ID of the request that did it", examples=["req_01kb0000000000000000000000"]
    )
    detail: dict[str, Any] | None = Field(description="more of it", examples=[{"name": "minilm"}])

    @classmethod
    def of(cls, row: RowMapping) -> Entry:
        """Returns what is shown of a row."""
        return cls.model_validate({**row, "at": moment(row["at"]), "key": row["key_id"]})

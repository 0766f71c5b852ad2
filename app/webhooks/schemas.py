"""Schemas: a team's webhook secret, and what was or is to be delivered."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Literal, cast

from pydantic import BaseModel, Field
from sqlalchemy import RowMapping

from app.api.times import moment

DeliveryStatus = Literal["pending", "delivered", "given_up"]


class WebhookSecret(BaseModel):
    """What the team's webhooks are signed with from now on."""

    secret: str = Field(
        description="shown this once: each webhook carries `Accord-Signature: t=<unix>,v1=<hex>`, where the hex is the "
        "HMAC-SHA256, with this text as the key, of `t`, a dot and the body; refuse what is wrong, or has an old `t`",
        examples=["whsec_2Jm0x0xw3s1bT8b3mW1y6xGmVQ5yVq2m1uQ0oT9kUuE"],
    )


class DeliveryView(BaseModel):
    """A webhook that was sent, or is to be."""

    id: str = Field(
        description="the same each time that it is tried, in the header `Accord-Delivery`",
        examples=["dlv_01k3q0v6c9x2m5j7t8r4w1y3za"],
    )
    event: str = Field(
        description="what it tells: `comparison.succeeded`, `study.failed`, `schedule.alert`, …",
        examples=["comparison.succeeded"],
    )
    resource: str = Field(description="the id of what it is about", examples=["cmp_01k3q0v6c9x2m5j7t8r4w1y3za"])
    url: str = Field(description="where it goes", examples=["https://example.org/hooks/accord"])
    status: DeliveryStatus = Field(
        description="`pending` while it is to be sent or tried again; `given_up` after the last attempt",
        examples=["delivered"],
    )
    attempts: int = Field(description="how often it was tried", examples=[1])
    next_at: datetime | None = Field(
        description="when it is tried next; null if it is not", examples=[None, "2026-11-24T03:00:10Z"]
    )
    last_error: str | None = Field(
        description="why the last attempt failed; null if it did not", examples=[None, "it answered 503"]
    )
    created_at: datetime = Field(description="when it happened", examples=["2026-11-24T03:00:00Z"])
    delivered_at: datetime | None = Field(
        description="when it was taken; null if it was not", examples=["2026-11-24T03:00:01Z"]
    )

    @classmethod
    def of(cls, row: RowMapping) -> DeliveryView:
        """Returns a delivery as it is shown."""
        return cls(
            id=row["id"],
            event=row["event"],
            resource=json.loads(row["body"])["id"],
            url=row["url"],
            status=row["state"],
            attempts=row["attempts"],
            next_at=moment(row["next_at"]) if row["state"] == "pending" else None,
            last_error=row["last_error"],
            created_at=cast(datetime, moment(row["created_at"])),
            delivered_at=moment(row["delivered_at"]),
        )

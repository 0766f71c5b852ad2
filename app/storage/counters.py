"""Counters: figures that all processes count together, in the transaction that does what is counted."""

from __future__ import annotations

import json
from typing import Literal

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from app.storage.tables import counters

# Prometheus's name: what kind, what it is, its labels. A name of a counter is without `_total`.
DESCRIPTIONS: dict[str, tuple[Literal["counter", "gauge"], str, tuple[str, ...]]] = {
    "accord_jobs_ended": ("counter", "Jobs that have ended.", ("kind", "state")),
    "accord_stage_seconds": ("counter", "Seconds that workers spent in a stage.", ("kind", "stage")),
    "accord_stage_runs": ("counter", "Times that a stage was gone through.", ("kind", "stage")),
    "accord_activations_found": ("counter", "Sides of what succeeded that the store answered.", ()),
    "accord_activations_made": ("counter", "Sides of what succeeded that had to be extracted.", ()),
    "accord_forward_items": ("counter", "Items that went through a model.", ()),
    "accord_webhook_attempts": ("counter", "Times that a webhook was sent or tried to be.", ()),
    "accord_webhooks_ended": ("counter", "Webhooks that were delivered or given up.", ("state",)),
    "accord_device_peak_bytes": ("gauge", "Most memory that the last job on a device took.", ("device",)),
}


def add(connection: Connection, name: str, value: float, **labels: str) -> None:
    """Adds to a counter; sets a gauge."""
    kind, _, known = DESCRIPTIONS[name]
    if set(labels) != set(known):
        raise ValueError(f"{name} has the labels {known}, not {tuple(labels)}")
    row = {"name": name, "labels": json.dumps(labels, sort_keys=True), "value": value}
    insert = (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(counters).values(row)
    changed = value if kind == "gauge" else counters.c.value + insert.excluded.value
    connection.execute(insert.on_conflict_do_update(index_elements=["name", "labels"], set_={"value": changed}))

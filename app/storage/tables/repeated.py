"""Repeated: schedules, each run of them, and what is told to others."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, Integer, String, Table, Text

from app.storage.tables.metadata import METADATA

schedules = Table(
    "schedules",
    METADATA,
    Column("id", String(40), primary_key=True),
    Column("team_id", String(40), nullable=False),
    Column("key_id", String(40)),
    Column("name", String(200), nullable=False),
    Column("cron", String(200), nullable=False),
    Column("timezone", String(64), nullable=False),
    Column("kind", String(20), nullable=False),  # comparison, study
    Column("request", sa.JSON, nullable=False),
    Column("alert", sa.JSON),
    Column("catch_up", Boolean, nullable=False),  # whether a run missed while all was down is made up for, once
    Column("overlap", String(10), nullable=False),  # skip, queue, replace
    Column("paused", Boolean, nullable=False),
    Column("alerting", Boolean, nullable=False),  # whether the last score was on the wrong side: once a crossing
    Column("next_at", Float),  # null while paused
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Index("ix_schedules_team", "team_id", "id"),
    Index("ix_schedules_next", "next_at"),
)

schedule_runs = Table(
    "schedule_runs",
    METADATA,
    Column("id", String(40), primary_key=True),
    Column("schedule_id", String(40), ForeignKey("schedules.id", ondelete="CASCADE"), nullable=False),
    Column("due_at", Float, nullable=False),
    Column("fired_at", Float, nullable=False),
    Column("manual", Boolean, nullable=False),
    Column("job_id", String(40)),
    Column("outcome", String(10), nullable=False),  # waiting, started, or how it ended
    Column("detail", Text),
    Column("scores", sa.JSON),  # {key: {score, calibrated, p_value, …}}
    Column("models", sa.JSON),  # {"a": reference with its commit and fingerprint, …}
    Column("alerted", Boolean, nullable=False),
    Column("finished_at", Float),
    Index("ix_schedule_runs_schedule", "schedule_id", "id"),
    Index("ix_schedule_runs_job", "job_id"),
    Index("ix_schedule_runs_outcome", "outcome", "schedule_id"),
)

deliveries = Table(
    "deliveries",
    METADATA,
    Column("id", String(40), primary_key=True),
    Column("team_id", String(40), nullable=False),
    Column("url", Text, nullable=False),
    Column("event", String(60), nullable=False),
    Column("body", Text, nullable=False),
    Column("state", String(10), nullable=False),  # pending, delivered, given_up
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_at", Float, nullable=False),
    Column("last_error", Text),
    Column("created_at", Float, nullable=False),
    Column("delivered_at", Float),
    Index("ix_deliveries_due", "state", "next_at"),
    Index("ix_deliveries_team", "team_id", "id"),
)

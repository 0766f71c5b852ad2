"""Access: who may do what, and what they did."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Column, Float, ForeignKey, Index, Integer, String, Table, Text

from app.storage.tables.metadata import METADATA

cluster = Table(
    "cluster",
    METADATA,
    Column("id", String(40), primary_key=True),  # who this database is: a worker notices one that was made anew
    Column("created_at", Float, nullable=False),
)

teams = Table(
    "teams",
    METADATA,
    Column("id", String(40), primary_key=True),
    Column("name", String(100), nullable=False, unique=True),
    Column("webhook_secret", String(100)),
    Column("created_at", Float, nullable=False),
)

keys = Table(
    "api_keys",
    METADATA,
    Column("id", String(40), primary_key=True),
    Column("team_id", String(40), ForeignKey("teams.id"), nullable=False),
    Column("role", String(10), nullable=False),  # reader, runner, admin
    Column("salt", String(64), nullable=False),
    Column("hash", String(128), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("revoked_at", Float),
    Column("used_at", Float),
    Index("ix_api_keys_team", "team_id"),
)

audit = Table(
    "audit",
    METADATA,
    Column("id", String(40), primary_key=True),
    Column("at", Float, nullable=False),
    Column("team_id", String(40)),
    Column("key_id", String(40)),  # null: from loopback without keys, or from the command line
    Column("action", String(60), nullable=False),  # "comparison.create"
    Column("resource", String(60)),
    Column("request_id", String(60)),
    Column("detail", sa.JSON),
    Index("ix_audit_team", "team_id", "id"),
    Index("ix_audit_resource", "resource"),
)

idempotency = Table(
    "idempotency",
    METADATA,
    Column("team_id", String(40), primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("digest", String(64), nullable=False),  # sha256 of method, path and body
    Column("status", Integer, nullable=False),
    Column("headers", sa.JSON, nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Index("ix_idempotency_created", "created_at"),
)

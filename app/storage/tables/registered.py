"""Registered: what a team names in what it asks for: models, probe sets, and the files that it sent."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Boolean, Column, Float, Index, Integer, String, Table, Text, text

from app.storage.tables.metadata import METADATA

uploads = Table(
    "uploads",
    METADATA,
    Column("id", String(40), primary_key=True),
    Column("team_id", String(40), nullable=False),
    Column("filename", String(255), nullable=False),
    Column("bytes", sa.BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("created_at", Float, nullable=False),
    Index("ix_uploads_team", "team_id", "id"),
)

models = Table(
    "models",
    METADATA,
    Column("id", String(40), primary_key=True),
    Column("team_id", String(40), nullable=False),
    Column("name", String(200), nullable=False),
    Column("shared", Boolean, nullable=False),  # whether every team sees it
    Column("source", sa.JSON, nullable=False),  # as it was posted, defaults filled in
    Column("reference", Text, nullable=False),  # what `alignment` calls it; holds a server's path for uploads
    Column("modality", String(10)),
    Column("layers", sa.JSON),  # [{name, width}]
    Column("poolings", sa.JSON),  # how its positions may be pooled; null where that is not known yet
    Column("parameters", sa.BigInteger),
    Column("fingerprint", String(64)),
    Column("bytes", sa.BigInteger, nullable=False, server_default="0"),  # of the files that are kept for it alone
    Column("created_at", Float, nullable=False),
    Column("deleted_at", Float),
    Index(
        "uq_models_name",
        "team_id",
        "name",
        unique=True,
        sqlite_where=text("deleted_at IS NULL"),
        postgresql_where=text("deleted_at IS NULL"),
    ),
    Index("ix_models_team", "team_id", "id"),
)

probes = Table(
    "probes",
    METADATA,
    Column("id", String(40), primary_key=True),
    Column("team_id", String(40), nullable=False),
    Column("name", String(200), nullable=False),
    Column("shared", Boolean, nullable=False),
    Column("source", sa.JSON, nullable=False),
    Column("reference", Text, nullable=False),
    Column("columns", sa.JSON, nullable=False),
    Column("modality", String(10), nullable=False),  # text, image, paired, array
    Column("views", sa.JSON),  # of vectors: ["x"], or ["a", "b"]; null of others, and where that was not kept
    Column("samples", Integer, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("deleted_at", Float),
    Index(
        "uq_probes_name",
        "team_id",
        "name",
        unique=True,
        sqlite_where=text("deleted_at IS NULL"),
        postgresql_where=text("deleted_at IS NULL"),
    ),
    Index("ix_probes_team", "team_id", "id"),
)

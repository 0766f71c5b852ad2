"""Work: what is asked for, who does it, and what came of it."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Column, Float, Index, Integer, LargeBinary, String, Table, Text, text

from app.storage.tables.metadata import METADATA

LIVE_SQL = "state IN ('queued', 'running', 'waiting')"  # a job that has not ended
OWN_LIVE_SQL = f"content IS NULL AND {LIVE_SQL}"  # one that a team asked for

# Everything that is worked on: what a team asked for (comparison, study, training) and the parts that those share
# (extraction). A part is named by its content (`content`), so that two who need it wait for one.
jobs = Table(
    "jobs",
    METADATA,
    Column("id", String(40), primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("content", String(64)),
    Column("team_id", String(40), nullable=False),  # of a shared part: who asked first
    Column("queue", String(20), nullable=False),  # extract, score
    Column("priority", Integer, nullable=False),
    Column("state", String(10), nullable=False),  # queued, running, waiting (for parts), succeeded, failed, cancelled
    Column("request", sa.JSON, nullable=False),  # what the API shows, every default filled in
    Column("payload", sa.JSON, nullable=False),  # what the work needs
    Column("progress", sa.JSON),
    Column("error", sa.JSON),
    Column("webhook_url", Text),
    Column("fence", Integer, nullable=False, server_default="0"),  # grows with each claim: an older one cannot publish
    Column("dispatches", Integer, nullable=False, server_default="0"),  # how often it was put in the queue
    Column("attempts", Integer, nullable=False, server_default="0"),  # how often it was tried for its own sake
    Column("losses", Integer, nullable=False, server_default="0"),  # how many workers died under it
    Column("parks", Integer, nullable=False, server_default="0"),  # how often it was set aside to wait for parts
    Column("retry_at", Float),  # when a part that failed for now goes back into the queue
    Column("failing_since", Float),  # when what it depends on went away: the hub, room on the disk
    Column("version", Integer, nullable=False, server_default="0"),  # grows with each visible change
    Column("worker_id", String(40)),
    Column("created_at", Float, nullable=False),
    Column("started_at", Float),
    Column("finished_at", Float),
    Index("ix_jobs_list", "team_id", "kind", "id"),
    Index("ix_jobs_state", "state", "team_id"),
    Index("ix_jobs_worker", "worker_id", "state"),
    Index("ix_jobs_retry", "retry_at"),
    Index("ix_jobs_finished", "finished_at"),
    Index("ix_jobs_live", "team_id", sqlite_where=text(OWN_LIVE_SQL), postgresql_where=text(OWN_LIVE_SQL)),
    Index(
        "uq_jobs_content",
        "content",
        unique=True,
        sqlite_where=text(LIVE_SQL),
        postgresql_where=text(LIVE_SQL),
    ),
)

job_parts = Table(
    "job_parts",
    METADATA,
    Column("job_id", String(40), primary_key=True),
    Column("part_id", String(40), primary_key=True),
    Column("role", String(40), primary_key=True),  # the stage that the part is to the job: extract_a, extract_b
    Index("ix_job_parts_part", "part_id"),
)

job_models = Table(
    "job_models",
    METADATA,
    Column("job_id", String(40), primary_key=True),
    Column("model_id", String(40), primary_key=True),
    Index("ix_job_models_model", "model_id", "job_id"),
)

results = Table(
    "results",
    METADATA,
    Column("job_id", String(40), primary_key=True),
    Column("body", LargeBinary, nullable=False),  # JSON, zlib
    Column("sha256", String(64), nullable=False),
)

workers = Table(
    "workers",
    METADATA,
    Column("id", String(40), primary_key=True),  # of one boot: a worker that starts again is another
    Column("host", String(255), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("devices", sa.JSON, nullable=False),
    Column("queues", sa.JSON, nullable=False),
    Column("state", String(10), nullable=False),  # alive, dead, gone
    Column("started_at", Float, nullable=False),
    Column("beat_at", Float, nullable=False),
    Index("ix_workers_state", "state", "beat_at"),
)

counters = Table(
    "counters",
    METADATA,
    Column("name", String(100), primary_key=True),  # Prometheus's name of a counter, or of a histogram's bucket
    Column("labels", String(200), primary_key=True),  # JSON, keys sorted
    Column("value", Float, nullable=False),
)

"""Tables: what is kept, in plain SQL that SQLite and PostgreSQL both speak."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, Integer, LargeBinary, String, Table, Text, text

LIVE_SQL = "state IN ('queued', 'running', 'waiting')"  # a job that has not ended
OWN_LIVE_SQL = f"content IS NULL AND {LIVE_SQL}"  # one that a team asked for
METADATA = sa.MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)
# Every moment is seconds since 1970 by the database's own clock (`Database.now`), so that machines need not agree.
# JSON is sa.JSON, which both databases compare by nothing: no query looks inside.

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

counters = Table(
    "counters",
    METADATA,
    Column("name", String(100), primary_key=True),  # Prometheus's name of a counter, or of a histogram's bucket
    Column("labels", String(200), primary_key=True),  # JSON, keys sorted
    Column("value", Float, nullable=False),
)

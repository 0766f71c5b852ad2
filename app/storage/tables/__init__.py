"""Tables: what is kept, in plain SQL that SQLite and PostgreSQL both speak."""

from app.storage.tables.access import audit, cluster, idempotency, keys, teams
from app.storage.tables.metadata import METADATA
from app.storage.tables.registered import models, probes, uploads
from app.storage.tables.repeated import deliveries, schedule_runs, schedules
from app.storage.tables.work import LIVE_SQL, OWN_LIVE_SQL, counters, job_models, job_parts, jobs, results, workers

__all__ = [
    "LIVE_SQL",
    "METADATA",
    "OWN_LIVE_SQL",
    "audit",
    "cluster",
    "counters",
    "deliveries",
    "idempotency",
    "job_models",
    "job_parts",
    "jobs",
    "keys",
    "models",
    "probes",
    "results",
    "schedule_runs",
    "schedules",
    "teams",
    "uploads",
    "workers",
]

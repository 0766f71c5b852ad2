"""A worker over fakes: what `accord worker` is, with work that does as its payload says.

python -m tests.chaos.worker_main DATABASE_URL FOLDER [DEVICES]
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Connection, RowMapping

from app.jobs import Handler, Handlers
from app.jobs.executor import LocalExecutor
from app.settings import Settings
from app.storage import Database
from app.storage.tables import counters
from app.telemetry import configure
from app.worker import Worker

FAKE = "tests.jobs.fakes:run"
LEASE = 3.0
GRACE = 3.0


def settle(connection: Connection, job: RowMapping, result: Mapping[str, Any] | None) -> None:
    """Notes each end of a job; a second one breaks the primary key, and with it the transaction."""
    connection.execute(counters.insert().values(name=job["id"], labels=job["state"], value=1))


def handlers() -> Handlers:
    kinds = ("comparison", "study", "extraction")
    return {kind: Handler(kind, FAKE, settle, keeps_result=kind != "extraction") for kind in kinds}


def main(url: str, folder: str, devices: str = "cpu") -> None:
    settings = Settings(
        _env_file=None,
        data_dir=Path(folder),
        cache_dir=Path(folder),
        database_url=SecretStr(url),
        devices=devices.split(","),
        lease_seconds=LEASE,
        grace_seconds=GRACE,
        retry_seconds=0.5,
        job_seconds=120,
        max_losses=50,
    )
    configure("json", "info")
    executor = LocalExecutor(
        preload=("app.worker", "app.telemetry", "tests.jobs.fakes", "alignment.errors", "tests.chaos.loading")
    )
    Worker(settings, Database(url), handlers(), lambda _: (), executor).run()


if __name__ == "__main__":
    main(*sys.argv[1:])

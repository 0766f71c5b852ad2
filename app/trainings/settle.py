"""What the end of a training changes beside its own row, in the same transaction: its models are registered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, RowMapping

from app.jobs.handler import FIGURES
from app.models.trained import adopt
from app.storage.tables import job_models
from app.trainings.figures import TRAINED


def settle(connection: Connection, job: RowMapping, result: Mapping[str, Any] | None) -> None:
    """Registers both models of a training that has succeeded, so that they are there exactly when its result is."""
    if result is None:
        return
    for member, facts in result[FIGURES][TRAINED].items():
        adopt(connection, job, job["payload"]["key"], member, facts)
        connection.execute(job_models.insert().values(job_id=job["id"], model_id=facts["id"]))

"""Claim: a running job in the hands of one worker."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import RowMapping

from app.storage.tables import jobs


@dataclass(frozen=True)
class Claim:
    """A running job in the hands of one worker.

    Attributes:
        job_id: the job.
        fence: which claim of it this is.
        row: its row when it was claimed.
        outage_seconds: for how long then what it depends on had been away.
    """

    job_id: str
    fence: int
    row: RowMapping = field(repr=False)
    outage_seconds: float = 0.0

    @property
    def is_part(self) -> bool:
        """Whether others may wait for it."""
        return self.row["content"] is not None


def held(claim: Claim) -> tuple[Any, ...]:
    """Returns the conditions on which a job is still in the hands of whoever made a claim."""
    return jobs.c.id == claim.job_id, jobs.c.fence == claim.fence, jobs.c.state == "running"

"""Results: what a job found, as it is kept."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from app.jobs.handler import FIGURES
from app.storage.tables import results


def spell(result: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the columns that keep a result: compressed JSON, without its figures, and its hash.

    Raises:
        ValueError: if it is not JSON: it holds a number that is not finite.
    """
    kept = {name: value for name, value in result.items() if name != FIGURES}
    body = json.dumps(kept, allow_nan=False, separators=(",", ":"), ensure_ascii=False).encode()
    return {"body": zlib.compress(body, 6), "sha256": hashlib.sha256(body).hexdigest()}


def result_of(connection: Connection, job_id: str) -> tuple[Mapping[str, Any], str] | None:
    """Returns a job's result and its sha256; None if it has none."""
    row = connection.execute(sa.select(results).where(results.c.job_id == job_id)).mappings().one_or_none()
    return None if row is None else (json.loads(zlib.decompress(row["body"])), str(row["sha256"]))

"""Telemetry: logs that carry the request's and the job's id, and no secret."""

from app.telemetry.logs import configure

__all__ = ["configure"]

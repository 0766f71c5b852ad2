"""Times: seconds since 1970, as the tables have them, to what an answer shows: RFC 3339, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime


def moment(seconds: float | None) -> datetime | None:
    """Returns a moment in UTC, which pydantic writes with a `Z`; None for None.

    >>> moment(0.25)
    datetime.datetime(1970, 1, 1, 0, 0, 0, 250000, tzinfo=datetime.timezone.utc)
    """
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)

"""Cron: when a schedule is due, by the clock on the wall of its time zone.

What runs at fixed times of the day runs once each day, also where the clock is put forward over it (then at once
afterwards) or back before it (then the first time). What runs each so many minutes or hours keeps its distance.
"""

from __future__ import annotations

import difflib
import zoneinfo
from datetime import datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from alignment.errors import NEAR

_FIELDS = "minute, hour, day of month, month, day of week"
_EXAMPLE = "'30 2 * * *' is each day at 02:30, '0 */6 * * 1-5' each six hours from Monday to Friday"
_NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


def check_cron(text: str) -> str:
    """Returns a cron expression, its fields one space apart.

    Raises:
        ValueError: if it is none, or is never due.
    """
    fields = text.split()
    if text.strip().lower() in _NICKNAMES:
        raise ValueError(f"{text!r} is a nickname; write {_NICKNAMES[text.strip().lower()]!r}")
    if len(fields) != 5:
        raise ValueError(f"cron has five fields ({_FIELDS}), not {len(fields)}: {_EXAMPLE}")
    expression = " ".join(fields)
    try:
        found = next(CronSim(expression, datetime(2024, 1, 1)), None)
    except CronSimError as error:
        raise ValueError(f"cron {expression!r}: {str(error).lower()}; the fields are {_FIELDS}: {_EXAMPLE}") from None
    if found is None:
        raise ValueError(f"cron {expression!r} is never due: no such day comes; {_EXAMPLE}")
    return expression


def check_zone(name: str) -> str:
    """Returns the name of a time zone.

    Raises:
        ValueError: if there is none of that name.
    """
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        close = difflib.get_close_matches(name, sorted(zoneinfo.available_timezones()), n=1, cutoff=NEAR)
        hint = f"did you mean {close[0]!r}?" if close else "take an IANA name: 'UTC', 'Europe/Berlin', 'Asia/Tokyo'"
        raise ValueError(f"there is no time zone {name!r}; {hint}") from None
    return name


def next_after(cron: str, zone: str, moment: float) -> float:
    """Returns the first moment after another at which a schedule is due; both in seconds since 1970.

    >>> next_after("0 0 * * *", "UTC", 1.0)
    86400.0

    Raises:
        ValueError: if it never is.
    """
    # A time that the clock shows twice is due the first time. After that, cronsim, which goes by what the clock shows,
    # would give it a second time: what is not after `moment` is passed over.
    for found in CronSim(cron, datetime.fromtimestamp(moment, ZoneInfo(zone))):
        due = found.timestamp()
        if due > moment:
            return due
    raise ValueError(f"cron {cron!r} is never due")

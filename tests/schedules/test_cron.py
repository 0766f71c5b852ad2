"""When a schedule is due: by the wall clock of its zone, once each day whatever is done to that clock."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.schedules.cron import check_cron, check_zone, next_after


def fires(cron: str, zone: str, begin: str, days: int) -> list[datetime]:
    """Each time that it is due, on the wall of its zone."""
    at = datetime.fromisoformat(begin).replace(tzinfo=ZoneInfo(zone))
    end = (at + timedelta(days=days)).timestamp()
    moment, found = at.timestamp(), []
    while (moment := next_after(cron, zone, moment)) < end:
        found.append(datetime.fromtimestamp(moment, ZoneInfo(zone)))
    return found


@pytest.mark.parametrize(
    ("zone", "begin", "day", "wall"),
    [
        ("Europe/Berlin", "2026-03-27", "2026-03-29", "03:00"),  # 02:00 to 03:00 is not there
        ("Europe/Berlin", "2026-10-23", "2026-10-25", "02:30"),  # 02:00 to 03:00 is there twice
        ("America/New_York", "2026-03-06", "2026-03-08", "03:00"),
        ("America/New_York", "2026-10-30", "2026-11-01", "02:30"),
    ],
)
def test_each_day_once_where_the_clock_is_changed(zone: str, begin: str, day: str, wall: str) -> None:
    found = fires("30 2 * * *", zone, begin, 5)
    assert len({at.date() for at in found}) == len(found) == 5
    times = {at.date().isoformat(): at.strftime("%H:%M") for at in found}
    assert times.pop(day) == wall
    assert set(times.values()) == {"02:30"}


@pytest.mark.parametrize(("zone", "day"), [("Europe/Berlin", "2026-10-25"), ("America/New_York", "2026-11-01")])
@pytest.mark.parametrize("hour", [1, 2])
def test_once_whenever_it_is_asked_within_the_hour_that_comes_twice(zone: str, day: str, hour: int) -> None:
    """A worker that comes back, or a change of the schedule, asks from a moment in the middle of it."""
    cron = f"30 {hour} * * *"
    midnight = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone)).timestamp()
    (due,) = [at.timestamp() for at in fires(cron, zone, day, 1)] or [0.0]
    for minute in range(25 * 60):
        after = next_after(cron, zone, midnight + 60 * minute)
        assert after == due if midnight + 60 * minute < due else after > midnight + 24 * 3600


def test_each_hour_keeps_its_distance() -> None:
    found = fires("0 * * * *", "Europe/Berlin", "2026-10-24T22:00", 1)
    moments = [at.timestamp() for at in found]
    assert {later - earlier for earlier, later in pairwise(moments)} == {3600.0}


def test_the_wall_is_the_zones_own() -> None:
    assert next_after("0 9 * * *", "Asia/Tokyo", 0.0) == 9 * 3600 - 9 * 3600 + 24 * 3600
    assert next_after("0 9 * * 1-5", "UTC", datetime(2026, 11, 27, 10, tzinfo=UTC).timestamp()) == (
        datetime(2026, 11, 30, 9, tzinfo=UTC).timestamp()
    )


@given(
    st.sampled_from(["30 2 * * *", "0 * * * *", "*/7 1-3 * * *", "15,45 2 * * 0", "0 0 29 2 *", "59 23 L * *"]),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
    st.floats(1.7e9, 2.0e9),
)
def test_what_is_due_next_is_later_and_nothing_lies_between(cron: str, zone: str, moment: float) -> None:
    due = next_after(cron, zone, moment)
    assert due > moment
    assert due % 60 == 0
    assert next_after(cron, zone, (moment + due) / 2) == due


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "five fields"),
        ("* * * *", "not 4"),
        ("* * * * * *", "not 6"),
        ("@daily", "'0 0 \\* \\* \\*'"),
        ("60 * * * *", "bad minute"),
        ("* 24 * * *", "bad hour"),
        ("0 0 0 * *", "bad day-of-month"),
        ("0 0 * 13 *", "bad month"),
        ("0 0 * * 9", "bad day-of-week"),
        ("5-1 * * * *", "bad minute"),
        ("*/0 * * * *", "bad minute"),
        ("a b c d e", "bad minute"),
        ("0 0 31 2 *", "bad day-of-month"),
        ("0 0 31 2,4 *", "bad day-of-month"),
    ],
)
def test_nonsense_is_refused_with_what_would_work(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        check_cron(text)


@given(st.text(alphabet="0123456789*/-,LW#MON \t", max_size=20))
def test_whatever_is_written_is_taken_or_refused(text: str) -> None:
    try:
        cron = check_cron(text)
    except ValueError:
        return
    assert next_after(cron, "Europe/Berlin", 1.8e9) > 1.8e9


def test_a_zone_is_a_name_of_the_iana_list() -> None:
    assert check_zone("Europe/Berlin") == "Europe/Berlin"
    for wrong in ("Europe/Berln", "CEST+2", "", "../../etc/passwd", "/etc/localtime", "Europe", "a\0b", "x" * 300):
        with pytest.raises(ValueError, match="time zone"):
            check_zone(wrong)
    with pytest.raises(ValueError, match="did you mean 'Europe/Berlin'"):
        check_zone("Europe/Berln")

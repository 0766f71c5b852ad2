"""Events: every change is told once, the end is told last, and then the stream ends."""

import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from app.api import events
from app.api.streams import Streams
from app.teams import keys
from tests.api.conftest import PATH, Live, Things, told

Follow = Callable[..., list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "LOOK_SECONDS", 0.02)


def _listening(live: Live, job: str, **headers: str) -> tuple[list[str], threading.Thread]:
    """Returns the lines of a stream as they come, and the thread that reads them until it ends."""
    lines: list[str] = []

    def read() -> None:
        with httpx.stream("GET", f"{live.url}{PATH}/{job}/events", headers=headers, timeout=20) as answer:
            assert answer.status_code == 200
            for line in answer.iter_lines():
                lines.append(line)

    thread = threading.Thread(target=read)
    thread.start()
    return lines, thread


def _until(said: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not said():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_has_ended_is_told_at_once(things: Things, follow: Follow) -> None:
    job = things.make()
    things.finish(job)
    (event,) = follow(job)
    assert (event["event"], event["data"]["status"], event["retry"]) == ("succeeded", "succeeded", "2000")
    assert "result" not in event["data"]
    assert "request" not in event["data"]


@pytest.mark.parametrize("end", ["succeeded", "failed", "cancelled"])
def test_progress_is_told_and_then_the_end(things: Things, live: Live, end: str) -> None:
    job = things.make()
    seen: list[dict[str, Any]] = []
    with httpx.stream("GET", f"{live.url}{PATH}/{job}/events", timeout=20) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        block = ""
        for line in answer.iter_lines():
            block += line + "\n"
            if line or not told(block):
                continue
            (event,) = told(block)
            seen.append(event)
            block = ""
            if len(seen) == 1:
                assert (event["event"], event["data"]["status"]) == ("progress", "queued")
                claim = things.claim(job)
            elif len(seen) == 2:
                assert event["data"]["status"] == "running"
                things.ledger.report(claim, {"stage": "score", "done": 1, "total": 2, "eta_seconds": 0.5})
            elif len(seen) == 3:
                assert event["data"]["progress"] == {"stage": "score", "done": 1, "total": 2, "eta_seconds": 0.5}
                if end == "succeeded":
                    things.ledger.publish(claim, {"samples": 1})
                elif end == "failed":
                    things.ledger.fail(claim, {"stage": "score", "model": None, "detail": "x"})
                else:
                    things.cancel(job)
    assert [event["event"] for event in seen] == ["progress"] * 3 + [end]
    numbers = [int(event["id"]) for event in seen]
    assert numbers == sorted(set(numbers))


def test_nothing_that_was_seen_is_said_again(things: Things, live: Live, follow: Follow) -> None:
    job = things.make()
    claim = things.claim(job)
    _, thread = _listening(live, job)
    things.ledger.report(claim, {"stage": "score", "done": 1, "total": 2, "eta_seconds": None})
    things.ledger.publish(claim, {"samples": 1})
    thread.join(10)
    (end,) = follow(job)
    before = int(end["id"]) - 1
    assert [event["id"] for event in follow(job, **{"Last-Event-ID": str(before)})] == [end["id"]]
    seen = httpx.get(f"{live.url}{PATH}/{job}/events", headers={"Last-Event-ID": end["id"]})
    assert (seen.status_code, seen.content) == (204, b"")  # at which a browser stops asking


@pytest.mark.parametrize("last", ["", "x", "-1", "99999", "1.5", "9" * 100])
def test_an_id_of_nothing_is_as_none(things: Things, follow: Follow, last: str) -> None:
    job = things.make()
    things.cancel(job)
    headers = {"Last-Event-ID": last}
    assert [event["event"] for event in follow(job, **headers)] == ["cancelled"]


def test_resumed_before_the_end_it_waits_for_news(things: Things, live: Live) -> None:
    job = things.make()
    lines, thread = _listening(live, job, **{"Last-Event-ID": "0"})
    time.sleep(0.2)
    assert lines == []
    things.cancel(job)
    thread.join(10)
    assert [event["event"] for event in told("\n".join(lines))] == ["cancelled"]


def test_silence_is_kept_alive_by_comments(things: Things, live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_SECONDS", 0.05)
    job = things.make()
    lines, thread = _listening(live, job)
    _until(lambda: lines.count(": still here") >= 2)
    things.cancel(job)
    thread.join(10)
    assert [event["event"] for event in told("\n".join(lines))] == ["progress", "cancelled"]


def test_the_server_does_not_wait_for_those_who_listen(things: Things, live: Live) -> None:
    job = things.make()
    lines, thread = _listening(live, job)
    _until(lambda: bool(lines))
    live.stop()
    thread.join(5)
    assert not thread.is_alive()
    assert [event["event"] for event in told("\n".join(lines))] == ["progress"]


def test_a_revoked_key_hears_no_more(things: Things, live: Live) -> None:
    key_id, key = keys.create(things.service.database, "default", "reader")
    job = things.make()
    lines, thread = _listening(live, job, Authorization=f"Bearer {key}")
    _until(lambda: bool(lines))
    keys.revoke(things.service.database, key_id)
    thread.join(10)
    assert not thread.is_alive()
    assert [event["event"] for event in told("\n".join(lines))] == ["progress"]


def test_who_leaves_is_not_looked_for_any_more(things: Things, live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []
    look = events._look

    def counted(*arguments: Any) -> Any:
        looks.append(time.monotonic())
        return look(*arguments)

    monkeypatch.setattr(events, "_look", counted)
    job = things.make()
    with httpx.stream("GET", f"{live.url}{PATH}/{job}/events") as answer:
        lines = answer.iter_lines()  # kept: one that is let go of closes the connection
        next(lines)
        _until(lambda: len(looks) >= 3)
    time.sleep(0.2)
    count = len(looks)
    time.sleep(0.2)
    assert len(looks) == count


def test_many_who_listen_hold_no_connection_between_looks(
    things: Things, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "LOOK_SECONDS", 1.0)
    pool: Any = things.service.database.engine.pool
    job = things.make()
    listening = [_listening(live, job) for _ in range(60)]  # more than there are connections or threads
    _until(lambda: all(lines for lines, _ in listening))
    _until(lambda: pool.checkedout() == 0)
    assert things.service.client.get(f"{PATH}/{job}").status_code == 200
    things.cancel(job)
    for lines, thread in listening:
        thread.join(10)
        assert told("\n".join(lines))[-1]["event"] == "cancelled"


def test_a_key_has_so_many_streams_and_another_key_its_own(things: Things, live: Live) -> None:
    things.service.app.state.streams = Streams(2)
    _, first = keys.create(things.service.database, "default", "reader")
    _, second = keys.create(things.service.database, "default", "reader")
    job = things.make()
    ours, theirs = ({"Authorization": f"Bearer {key}"} for key in (first, second))
    listening = [_listening(live, job, **ours) for _ in range(2)]
    _until(lambda: all(lines for lines, _ in listening))
    refused = httpx.get(f"{live.url}{PATH}/{job}/events", headers=ours)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
    assert refused.headers["content-type"] == "application/problem+json"
    listening.append(_listening(live, job, **theirs))
    _until(lambda: bool(listening[2][0]))
    things.cancel(job)
    for _, thread in listening:
        thread.join(10)
    for _ in range(5):  # those that ended, and those that had ended before, hold no place
        assert httpx.get(f"{live.url}{PATH}/{job}/events", headers=ours).status_code == 200


def test_one_who_goes_away_gives_the_place_back(things: Things, live: Live) -> None:
    things.service.app.state.streams = streams = Streams(1)
    job = things.make()
    for _ in range(3):
        with httpx.stream("GET", f"{live.url}{PATH}/{job}/events") as answer:
            assert answer.status_code == 200
            next(answer.iter_lines())
        _until(lambda: not streams._open)


def test_an_outage_of_the_database_is_waited_out(things: Things, live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlalchemy.exc import TimeoutError as PoolTimeoutError

    job = things.make()
    lines, thread = _listening(live, job)
    _until(lambda: bool(lines))
    read = things.service.database.read
    broken = [3]

    def sometimes() -> Any:
        if broken[0]:
            broken[0] -= 1
            raise PoolTimeoutError("away")
        return read()

    monkeypatch.setattr(things.service.database, "read", sometimes)
    _until(lambda: not broken[0])
    things.cancel(job)
    thread.join(10)
    assert told("\n".join(lines))[-1]["event"] == "cancelled"

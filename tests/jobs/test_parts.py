"""Parts are shared: under way once however many wait, and gone when nobody does."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from app.jobs import Needs
from app.storage.tables import job_parts, jobs
from tests.jobs.conftest import Bench, part

ERROR = {"stage": "load", "model": None, "detail": "the hub is away"}


def parts_of(bench: Bench, content: str) -> list[str]:
    with bench.database.read() as connection:
        return list(connection.execute(sa.select(jobs.c.id).where(jobs.c.content == content)).scalars())


def test_a_part_is_under_way_once_and_wakes_all_who_wait(bench: Bench) -> None:
    waiting = [bench.parked(part("c", role)) for role in ("extract_a", "extract_b", "extract_a")]
    (part_id,) = parts_of(bench, "c")
    bench.ledger.publish(bench.claimed(part_id), {})
    for job_id in waiting:
        row = bench.row(job_id)
        assert (row["state"], row["attempts"]) == ("queued", 0)
        assert [entry for entry, *_ in bench.queued(job_id)] == [f"{job_id}/1", f"{job_id}/2"]


def test_many_who_park_at_once_share_one(bench: Bench) -> None:
    claims = [bench.claimed() for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda claim: bench.ledger.park(claim, [part("c"), part("d", "extract_b")]), claims))
    assert len(parts_of(bench, "c")) == len(parts_of(bench, "d")) == 1


def test_a_job_waits_for_the_last_of_its_parts_whatever_their_order(bench: Bench) -> None:
    job_id = bench.parked(part("c"), part("d", "extract_b"))
    bench.ledger.publish(bench.claimed(bench.of_content("d")), {})
    assert bench.state(job_id) == "waiting"
    bench.ledger.publish(bench.claimed(bench.of_content("c")), {})
    assert bench.state(job_id) == "queued"


def test_two_parts_that_end_at_once_wake_their_job_once(bench: Bench) -> None:
    for turn in range(10):
        job_id = bench.parked(part(f"c{turn}"), part(f"d{turn}", "extract_b"))
        claims = [bench.claimed(bench.of_content(f"{name}{turn}")) for name in "cd"]
        with ThreadPoolExecutor(2) as pool:
            assert all(pool.map(lambda claim: bench.ledger.publish(claim, {}), claims))
        assert len(bench.queued(job_id)) == 2  # one when it was asked for, one when it woke


def test_one_part_may_have_two_roles(bench: Bench) -> None:
    job_id = bench.parked(part("c"), part("c", "extract_b"))
    bench.ledger.publish(bench.claimed(bench.of_content("c")), {})
    assert bench.state(job_id) == "queued"


def test_what_a_job_has_waited_for_is_known_until_it_ends(bench: Bench) -> None:
    """A side that was lost from the store, and is made again, takes nothing from what else was made for the job."""
    job_id = bench.parked(part("a"), part("b", "extract_b"))
    for content in "ab":
        bench.ledger.publish(bench.claimed(bench.of_content(content)), {})
    bench.ledger.park(bench.claimed(job_id), [part("a")])
    assert bench.ledger.publish(bench.claimed(bench.of_content("a")), {})
    assert bench.state(job_id) == "queued"
    with bench.database.read() as connection:
        asked = sa.select(job_parts.c.role).where(job_parts.c.job_id == job_id).order_by(job_parts.c.role)
        assert connection.execute(asked).scalars().all() == ["extract_a", "extract_a", "extract_b"]


def test_progress_is_told_by_the_role_that_the_part_has(bench: Bench) -> None:
    first, second = bench.parked(part("c")), bench.parked(part("c", "extract_b"))
    claim = bench.claimed(bench.of_content("c"))
    assert bench.ledger.report(claim, {"stage": "extract", "done": 1, "total": 2})
    assert bench.row(first)["progress"] == {"stage": "extract_a", "done": 1, "total": 2}
    assert bench.row(second)["progress"]["stage"] == "extract_b"


def test_trouble_is_told_and_taken_back_when_it_has_passed(bench: Bench) -> None:
    job_id = bench.parked(part("c"), part("d", "extract_b"))
    claim = bench.claimed(bench.of_content("c"))
    bench.ledger.retry(claim, ERROR, -1, outage=True)
    assert bench.row(job_id)["error"] == {**ERROR, "stage": "extract_a"}
    bench.recovery.retry_due()
    bench.ledger.publish(bench.claimed(bench.of_content("d")), {})
    assert bench.row(job_id)["error"] is not None  # the other part's trouble is not over
    bench.ledger.publish(bench.claimed(claim.job_id), {})
    assert (bench.state(job_id), bench.row(job_id)["error"]) == ("queued", None)


def test_trouble_that_passed_is_taken_back_while_another_part_goes_on(bench: Bench) -> None:
    job_id = bench.parked(part("c"), part("d", "extract_b"))
    claim = bench.claimed(bench.of_content("c"))
    bench.ledger.retry(claim, ERROR, -1, outage=True)
    bench.recovery.retry_due()
    bench.ledger.publish(bench.claimed(claim.job_id), {})
    assert (bench.state(job_id), bench.row(job_id)["error"]) == ("waiting", None)


def test_a_part_that_fails_fails_all_who_wait_and_frees_what_else_they_waited_for(bench: Bench) -> None:
    first = bench.parked(part("c"), part("d", "extract_b"))
    second = bench.parked(part("e"), part("c", "extract_b"))
    third = bench.parked(part("e"))
    assert bench.ledger.fail(bench.claimed(bench.of_content("c")), ERROR)
    assert bench.row(first)["error"] == {**ERROR, "stage": "extract_a"}
    assert bench.row(second)["error"] == {**ERROR, "stage": "extract_b"}
    assert (bench.state(first), bench.state(second), bench.state(third)) == ("failed", "failed", "waiting")
    assert bench.state(bench.of_content("d")) == "cancelled"
    assert bench.state(bench.of_content("e")) == "queued"
    assert set(bench.settled.values()) == {1}


def test_cancelling_keeps_the_parts_that_others_wait_for(bench: Bench) -> None:
    first, second = bench.parked(part("c"), part("d", "extract_b")), bench.parked(part("c"))
    assert bench.cancel(first)
    assert bench.state(bench.of_content("c")) == "queued"
    assert bench.state(bench.of_content("d")) == "cancelled"
    assert bench.cancel(second)
    assert bench.state(bench.of_content("c")) == "cancelled"


def test_a_running_part_that_nobody_waits_for_any_more_is_taken_away(bench: Bench) -> None:
    job_id = bench.parked(part("c"))
    claim = bench.claimed(bench.of_content("c"))
    bench.cancel(job_id)
    assert not bench.ledger.is_held(claim)
    assert not bench.ledger.publish(claim, {})


def test_a_part_that_is_waited_for_cannot_be_cancelled_by_itself(bench: Bench) -> None:
    job_id = bench.parked(part("c"))
    assert not bench.cancel(bench.of_content("c"))
    assert bench.state(job_id) == "waiting"
    assert bench.state(bench.of_content("c")) == "queued"


@pytest.mark.parametrize("end", ["publish", "fail", "cancel"])
def test_a_content_whose_part_ended_can_be_made_anew(bench: Bench, end: str) -> None:
    first = bench.parked(part("c"))
    if end == "cancel":
        bench.cancel(first)
    elif end == "fail":
        bench.ledger.fail(bench.claimed(bench.of_content("c")), ERROR)
    else:
        bench.ledger.publish(bench.claimed(bench.of_content("c")), {})
    second = bench.parked(part("c"))
    assert len(parts_of(bench, "c")) == 2
    bench.ledger.publish(bench.claimed(bench.of_content("c")), {})
    assert bench.state(second) == "queued"


def test_joining_and_ending_at_once_leaves_nobody_waiting_for_ever(bench: Bench) -> None:
    for turn in range(10):
        bench.parked(part(f"c{turn}"))
        running = bench.claimed(bench.of_content(f"c{turn}"))
        joining = bench.claimed()
        with ThreadPoolExecutor(2) as pool:
            steps = [
                pool.submit(bench.ledger.publish, running, {}),
                pool.submit(bench.ledger.park, joining, [part(f"c{turn}")]),
            ]
            assert all(step.result() for step in steps)
        if bench.state(joining.job_id) == "waiting":  # it came too late, and has a part of its own
            assert bench.state(bench.of_content(f"c{turn}")) == "queued"


def test_cancelling_failing_and_parking_at_once_leaves_every_job_in_one_end(bench: Bench) -> None:
    """Graphs that overlap, changed from all sides: nothing deadlocks, and no live part is without a job."""
    for turn in range(5):
        names = [f"{turn}{letter}" for letter in "abc"]
        waiting = [bench.parked(*(part(name, f"role_{name}") for name in (*names[i:], *names[:i]))) for i in range(3)]
        claims = [bench.claimed(bench.of_content(name)) for name in names]
        late = bench.claimed()
        with ThreadPoolExecutor(8) as pool:
            steps = [pool.submit(bench.cancel, waiting[0]), pool.submit(bench.ledger.fail, claims[0], ERROR)]
            steps += [pool.submit(bench.ledger.publish, claim, {}) for claim in claims[1:]]
            steps += [pool.submit(bench.ledger.report, claims[1], {"stage": "x", "done": 1, "total": 2})]
            steps += [pool.submit(bench.ledger.park, late, [part(name, name) for name in reversed(names)])]
            for step in steps:
                step.result()
        assert bench.state(waiting[0]) in ("cancelled", "failed")
        assert {bench.state(job_id) for job_id in waiting[1:]} <= {"failed", "queued"}
        assert bench.state(late.job_id) in ("waiting", "failed")
        bench.cancel(late.job_id)
    assert set(bench.settled.values()) == {1}
    with bench.database.read() as connection:
        left = sa.select(jobs.c.id).where(jobs.c.content.is_not(None), jobs.c.state.in_(["queued", "waiting"]))
        assert connection.execute(left).all() == []


def test_parts_of_parts_fail_and_are_let_go_through_all_levels(bench: Bench) -> None:
    top = bench.parked(part("middle", "compare"))
    middle = bench.claimed(bench.of_content("middle"))
    bench.ledger.park(middle, [part("low")])
    other = bench.parked(part("middle", "again"))
    bench.cancel(top)
    assert bench.state(bench.of_content("low")) == "queued"
    bench.cancel(other)
    assert bench.state(bench.of_content("low")) == "cancelled"

    top = bench.parked(part("middle", "compare"))
    middle = bench.claimed(bench.of_content("middle"))
    bench.ledger.park(middle, [part("low")])
    bench.ledger.fail(bench.claimed(bench.of_content("low")), ERROR)
    assert bench.state(bench.of_content("middle")) == "failed"
    assert bench.row(top)["error"] == {**ERROR, "stage": "compare"}


def test_a_part_waits_among_the_jobs_of_each_team_that_needs_it(bench: Bench) -> None:
    bench.parked(part("c"), team="tea_many", priority=5)
    bench.parked(part("c"), team="tea_few", priority=5)
    part_id = bench.of_content("c")
    bench.parked(part("c"), team="tea_many", priority=5)
    assert [(team, priority) for _, team, priority in bench.queued(part_id)] == [("tea_many", 10), ("tea_few", 10)]
    bench.parked(part("c"), team="tea_many", priority=1)
    assert bench.queued(part_id)[-1][1:] == ("tea_many", 2)
    assert bench.ledger.claim(part_id, "wrk_a") is not None
    assert bench.ledger.claim(part_id, "wrk_b") is None  # the other entries find nothing to do


def test_a_store_that_loses_its_parts_does_not_have_a_job_ask_for_ever(bench: Bench) -> None:
    job_id = bench.submit()
    for count in range(40):
        claim = bench.ledger.claim(job_id, "wrk_a")
        if claim is None:
            break
        bench.ledger.park(claim, [part(f"c{count}")])
        if bench.state(job_id) == "waiting":
            bench.ledger.publish(bench.claimed(bench.of_content(f"c{count}")), {})
    row = bench.row(job_id)
    assert row["state"] == "failed"
    assert "missing each time" in row["error"]["detail"]


def test_to_wait_for_nothing_is_a_mistake() -> None:
    with pytest.raises(ValueError):
        Needs(())

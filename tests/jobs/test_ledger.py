"""Every transition of a job: what it changes, that it happens once, and that who holds an old fence changes nothing."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from app.jobs.claim import Claim
from app.jobs.ledger import Ledger, NewJob
from app.jobs.results import result_of
from app.storage.tables import job_models, jobs, workers
from tests.jobs.conftest import Bench, part

ERROR = {"stage": "score", "model": None, "detail": "no"}
ENDS: dict[str, Callable[[Ledger, Claim], bool]] = {
    "publish": lambda ledger, claim: ledger.publish(claim, {"n": 1}),
    "fail": lambda ledger, claim: ledger.fail(claim, ERROR),
    "retry": lambda ledger, claim: ledger.retry(claim, ERROR, 1, outage=False),
    "outage": lambda ledger, claim: ledger.retry(claim, ERROR, 1, outage=True),
    "give back": lambda ledger, claim: ledger.give_back(claim),
    "park": lambda ledger, claim: ledger.park(claim, [part("c")]),
    "report": lambda ledger, claim: ledger.report(claim, {"stage": "score", "done": 1, "total": 2}),
}


def test_a_job_and_its_entry_are_there_together(bench: Bench) -> None:
    job_id = bench.submit(priority=3)
    row = bench.row(job_id)
    assert (row["state"], row["fence"], row["attempts"], row["request"]) == ("queued", 0, 0, {"asked": True})
    assert bench.queued(job_id) == [(f"{job_id}/1", "tea_1", 6)]


def test_what_is_rolled_back_leaves_neither_row_nor_entry(bench: Bench) -> None:
    def fall() -> None:
        with bench.database.write() as connection:
            bench.ledger.submit(connection, NewJob("comparison", "tea_1", "score", {}, {}, models=["mdl_1"]))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fall()
    with bench.database.read() as connection:
        assert connection.execute(sa.select(jobs.c.id)).all() == []
    assert bench.queued("%") == []


def test_each_model_is_noted_once(bench: Bench) -> None:
    new = NewJob("comparison", "tea_1", "score", {}, {}, models=["mdl_1", "mdl_2", "mdl_1"])
    with bench.database.write() as connection:
        bench.ledger.submit(connection, new)
        assert connection.execute(sa.select(job_models.c.model_id)).scalars().all() == ["mdl_1", "mdl_2"]


def test_a_claim_is_one_workers(bench: Bench) -> None:
    job_id = bench.submit()
    with ThreadPoolExecutor(4) as pool:
        claims = list(pool.map(lambda worker: bench.ledger.claim(job_id, worker), ["a", "b", "c", "d"]))
    (claim,) = [claim for claim in claims if claim is not None]
    row = bench.row(job_id)
    assert (row["state"], row["fence"], row["attempts"], row["worker_id"]) == ("running", 1, 1, claim.row["worker_id"])
    assert row["started_at"] >= row["created_at"]


def test_a_worker_that_was_declared_dead_claims_nothing(bench: Bench) -> None:
    job_id = bench.submit()
    assert bench.ledger.claim(job_id, bench.enter("wrk_dead", "dead")) is None
    assert bench.ledger.claim(job_id, bench.enter("wrk_alive")) is not None


def test_a_result_is_visible_once_and_as_it_was_given(bench: Bench) -> None:
    claim = bench.claimed()
    assert bench.ledger.publish(claim, {"score": 0.5, "name": "ä"})
    assert not bench.ledger.publish(claim, {"score": 0.6})
    with bench.database.read() as connection:
        found = result_of(connection, claim.job_id)
    assert found is not None
    assert found[0] == {"score": 0.5, "name": "ä"}
    assert bench.settled == {(claim.job_id, "succeeded"): 1}
    row = bench.row(claim.job_id)
    assert row["finished_at"] >= row["started_at"]


def test_a_result_that_is_no_json_changes_nothing(bench: Bench) -> None:
    claim = bench.claimed()
    with pytest.raises(ValueError):
        bench.ledger.publish(claim, {"score": float("nan")})
    assert bench.state(claim.job_id) == "running"


def test_a_kind_may_keep_no_result(bench: Bench) -> None:
    bench.parked(part("c"))
    claim = bench.claimed(bench.of_content("c"))
    assert bench.ledger.publish(claim, {})
    with bench.database.read() as connection:
        assert result_of(connection, claim.job_id) is None


def test_what_settling_refuses_does_not_end(bench: Bench) -> None:
    claim = bench.claimed()

    def refuse(*_: object) -> None:
        raise RuntimeError

    object.__setattr__(bench.handlers["comparison"], "settled", refuse)
    with pytest.raises(RuntimeError):
        bench.ledger.publish(claim, {})
    assert bench.state(claim.job_id) == "running"
    with bench.database.read() as connection:
        assert result_of(connection, claim.job_id) is None


@pytest.mark.parametrize("end", ENDS)
def test_an_old_fence_changes_nothing(bench: Bench, end: str) -> None:
    old = bench.claimed(worker=bench.enter("wrk_a", "alive"))
    bench.ledger.give_back(old)
    new = bench.claimed(old.job_id, "wrk_b")
    before = bench.row(old.job_id)
    assert not ENDS[end](bench.ledger, old)
    assert not bench.ledger.is_held(old)
    assert bench.row(old.job_id) == before
    assert bench.ledger.is_held(new)
    assert ENDS[end](bench.ledger, new)


@pytest.mark.parametrize("end", ENDS)
def test_what_was_cancelled_meanwhile_stays_so(bench: Bench, end: str) -> None:
    claim = bench.claimed()
    assert bench.cancel(claim.job_id)
    before = bench.row(claim.job_id)
    assert not ENDS[end](bench.ledger, claim)
    assert bench.row(claim.job_id) == before
    assert bench.settled == {(claim.job_id, "cancelled"): 1}


@pytest.mark.parametrize("state", ["queued", "running", "waiting"])
def test_a_job_that_has_not_ended_can_be_cancelled_once(bench: Bench, state: str) -> None:
    job_id = bench.submit()
    if state != "queued":
        claim = bench.claimed(job_id)
        if state == "waiting":
            bench.ledger.park(claim, [part("c")])
    assert bench.cancel(job_id)
    assert not bench.cancel(job_id)
    assert bench.state(job_id) == "cancelled"
    assert bench.ledger.claim(job_id, "wrk_a") is None
    assert bench.settled[job_id, "cancelled"] == 1


def test_a_job_that_ended_cannot_be_cancelled(bench: Bench) -> None:
    claim = bench.claimed()
    bench.ledger.publish(claim, {})
    assert not bench.cancel(claim.job_id)
    assert not bench.cancel("cmp_none")
    assert bench.state(claim.job_id) == "succeeded"


def test_a_failure_says_why_and_is_settled_once(bench: Bench) -> None:
    claim = bench.claimed()
    assert bench.ledger.fail(claim, ERROR)
    assert not bench.ledger.fail(claim, ERROR)
    row = bench.row(claim.job_id)
    assert (row["state"], row["error"]) == ("failed", ERROR)
    assert bench.settled == {(claim.job_id, "failed"): 1}


def test_giving_back_costs_nothing_and_goes_ahead_of_its_equals(bench: Bench) -> None:
    claim = bench.claimed()
    assert bench.ledger.give_back(claim)
    row = bench.row(claim.job_id)
    assert (row["state"], row["attempts"], row["worker_id"], row["losses"]) == ("queued", 0, None, 0)
    assert bench.queued(claim.job_id)[-1] == (f"{claim.job_id}/2", "tea_1", 9)
    assert bench.claimed(claim.job_id).fence == 2


def test_a_retry_waits_for_its_time_and_then_is_queued_once(bench: Bench) -> None:
    claim = bench.claimed()
    bench.ledger.retry(claim, ERROR, 60, outage=False)
    assert bench.row(claim.job_id)["error"] == ERROR
    assert bench.ledger.claim(claim.job_id, "wrk_a") is None
    assert bench.recovery.retry_due() == 0
    bench.set(claim.job_id, retry_at=1.0)
    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(lambda _: bench.recovery.retry_due(), range(4))) == 1
    again = bench.claimed(claim.job_id)
    assert (again.row["attempts"], again.row["error"]) == (2, None)


def test_an_outage_costs_no_attempt_and_is_counted_from_its_beginning(bench: Bench) -> None:
    claim = bench.claimed()
    assert claim.outage_seconds == 0
    for _ in range(3):
        bench.ledger.retry(claim, ERROR, -1, outage=True)
        bench.set(claim.job_id, failing_since=bench.row(claim.job_id)["failing_since"] - 100)
        assert bench.recovery.retry_due() == 1
        claim = bench.claimed(claim.job_id)
    assert claim.row["attempts"] == 1
    assert 300 <= claim.outage_seconds < 400
    bench.ledger.retry(claim, ERROR, -1, outage=False)
    bench.recovery.retry_due()
    assert bench.claimed(claim.job_id).outage_seconds == 0


@pytest.mark.parametrize("step", ["park", "give back", "recover"])
def test_an_outage_that_has_passed_is_not_counted_with_the_next(bench: Bench, step: str) -> None:
    claim = bench.claimed()
    bench.ledger.retry(claim, ERROR, -1, outage=True)
    bench.set(claim.job_id, failing_since=1.0)  # long ago
    bench.recovery.retry_due()
    claim = bench.claimed(claim.job_id, bench.enter("wrk_dies"))
    assert claim.outage_seconds > 1e9
    if step == "park":  # it has begun, and found what it needs missing
        assert bench.ledger.park(claim, [part("c")])
        assert bench.ledger.publish(bench.claimed(bench.of_content("c")), {})
    elif step == "give back":
        assert bench.ledger.give_back(claim)
    else:
        with bench.database.write() as connection:
            connection.execute(workers.update().values(state="dead"))
        assert bench.recovery.recover(8) == 1
    assert bench.claimed(claim.job_id).outage_seconds == 0


def test_room_is_counted_as_far_as_the_limit(bench: Bench) -> None:
    bench.parked(part("c"))
    for _ in range(2):
        bench.submit()
    bench.submit(team="tea_2")
    with bench.database.read() as connection:
        assert [bench.ledger.few(connection, "tea_1", most) for most in (2, 3, 4)] == [2, 3, 3]
        assert bench.ledger.few(connection, "tea_3", 1) == 0


def test_live_counts_what_a_team_asked_for_and_has_not_ended(bench: Bench) -> None:
    bench.parked(part("c"))
    bench.submit()
    bench.submit(team="tea_2")
    bench.ledger.publish(bench.claimed(), {})
    with bench.database.read() as connection:
        assert bench.ledger.live(connection, "tea_1") == 2
        assert bench.ledger.live(connection, "tea_3") == 0


def test_each_visible_change_has_a_version_of_its_own(bench: Bench) -> None:
    job_id = bench.submit()
    seen = [bench.row(job_id)["version"]]
    claim = bench.claimed(job_id)
    seen.append(bench.row(job_id)["version"])
    bench.ledger.report(claim, {"stage": "score", "done": 1, "total": 2})
    seen.append(bench.row(job_id)["version"])
    bench.ledger.publish(claim, {})
    seen.append(bench.row(job_id)["version"])
    assert seen == sorted(set(seen))

"""Whoever does not beat is dead, what it had in hand goes to others, and nobody is judged by one who was away."""

from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from app.jobs import roster as module
from app.jobs.roster import Roster, live_workers
from app.storage.tables import workers
from tests.jobs.conftest import Bench, part

LEASE = 30.0


class Clock:
    """A monotonic clock that stands still until it is moved: however busy the machine, no beat is late by it."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """What workers go by."""
    made = Clock()
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=made))
    return made


@pytest.fixture
def roster(bench: Bench, clock: Clock) -> Roster:
    """A worker that has beaten for a lease, and so may judge others."""
    made = Roster(bench.ledger, LEASE, most_losses=3)
    made.register(["cpu"], ["score"])
    for _ in range(3):
        assert made.beat()
        clock.at += LEASE / 2
    return made


def state_of(bench: Bench, worker_id: str) -> str:
    with bench.database.read() as connection:
        return str(connection.execute(sa.select(workers.c.state).where(workers.c.id == worker_id)).scalar_one())


def take(bench: Bench, entry: str, executor: str, status: str = "PENDING") -> None:
    """Marks an entry as the queue does when an executor takes it."""
    table = f"{'' if bench.database.is_sqlite else 'dbos.'}workflow_status"
    statement = f"UPDATE {table} SET status = :status, executor_id = :executor WHERE workflow_uuid = :entry"
    with bench.database.write() as connection:
        connection.execute(sa.text(statement), {"status": status, "executor": executor, "entry": entry})


def test_a_late_worker_is_dead_and_its_job_goes_to_another(bench: Bench, roster: Roster) -> None:
    dead = bench.enter("wrk_dead", beat_ago=100)
    claim = bench.ledger.claim(bench.submit(), bench.enter("wrk_live"))
    old = bench.claimed(worker="wrk_dead2" if bench.enter("wrk_dead2", beat_ago=100) else "")
    assert claim is not None
    roster.beat()
    assert roster.reap() == 2
    assert (state_of(bench, dead), state_of(bench, "wrk_live")) == ("dead", "alive")
    row = bench.row(old.job_id)
    assert (row["state"], row["losses"], row["attempts"], row["worker_id"]) == ("queued", 1, 0, None)
    assert bench.row(claim.job_id)["state"] == "running"
    assert not bench.ledger.publish(old, {})
    assert bench.ledger.publish(bench.claimed(old.job_id, "wrk_live"), {})
    assert bench.settled[old.job_id, "succeeded"] == 1
    assert roster.reap() == 0


def test_an_entry_that_died_with_its_worker_before_the_claim_is_queued_anew(bench: Bench, roster: Roster) -> None:
    job_id = bench.submit()
    take(bench, f"{job_id}/1", bench.enter("wrk_dead", beat_ago=100))
    roster.beat()
    assert roster.reap() == 1
    assert [entry for entry, *_ in bench.queued(job_id)] == [f"{job_id}/2"]
    assert bench.engine.taken() == []  # nor does it count as running any more
    assert bench.row(job_id)["losses"] == 0


@pytest.mark.parametrize("status", ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"])
def test_a_queued_job_whose_entry_has_ended_gets_another(bench: Bench, status: str) -> None:
    job_id, other = bench.submit(), bench.submit()
    take(bench, f"{job_id}/1", "wrk_gone", status)
    assert bench.recovery.redispatch() == 1
    assert bench.recovery.redispatch() == 0
    assert [entry for entry, *_ in bench.queued(job_id)] == [f"{job_id}/2"]
    assert [entry for entry, *_ in bench.queued(other)] == [f"{other}/1"]


def test_what_a_live_worker_has_in_hand_or_waits_for_its_time_is_not_queued_anew(bench: Bench) -> None:
    held, later, running = bench.submit(), bench.claimed(), bench.claimed()
    take(bench, f"{held}/1", bench.enter("wrk_live"))
    bench.ledger.retry(later, {}, 60, outage=False)
    for claim in (later, running):
        take(bench, f"{claim.job_id}/1", "wrk_live", "SUCCESS")
    assert bench.recovery.redispatch() == 0


def test_what_a_worker_left_behind_is_found_without_a_death(bench: Bench, roster: Roster) -> None:
    claim = bench.claimed(worker=bench.enter("wrk_gone"))
    take(bench, f"{claim.job_id}/1", "wrk_gone")
    with bench.database.write() as connection:
        connection.execute(workers.update().where(workers.c.id == "wrk_gone").values(state="gone"))
    for _ in range(5):
        roster.beat()
        roster.reap()
    assert bench.state(claim.job_id) == "queued"
    assert bench.engine.taken() == []


def test_a_job_under_which_worker_after_worker_dies_is_given_up_with_those_that_wait(
    bench: Bench, roster: Roster
) -> None:
    waiting = bench.parked(part("c"))
    job_id = bench.of_content("c")
    for count in range(3):
        assert bench.ledger.claim(job_id, bench.enter(f"wrk_{count}")) is not None
        with bench.database.write() as connection:
            connection.execute(workers.update().where(workers.c.id == f"wrk_{count}").values(beat_at=1.0))
        roster.beat()
        assert roster.reap() == 1
    assert bench.state(job_id) == "failed"
    assert "3 workers died" in bench.row(job_id)["error"]["detail"]
    assert bench.row(waiting)["error"]["stage"] == "extract_a"


def test_who_was_away_itself_judges_nobody(bench: Bench, clock: Clock) -> None:
    fresh = Roster(bench.ledger, LEASE, 3)
    fresh.register(["cpu"], ["score"])
    bench.enter("wrk_late", beat_ago=100)
    assert fresh.reap() == 0  # it has not beaten yet
    fresh.beat()
    assert fresh.reap() == 0  # nor for a lease
    clock.at += 100
    fresh._last_beat = clock.at - LEASE
    assert fresh.reap() == 0  # its last beat did not go through: perhaps nobody's did
    fresh.beat()
    assert fresh.reap() == 0  # and the others may only now begin again
    assert state_of(bench, "wrk_late") == "alive"


def test_who_was_held_up_on_its_way_to_judge_judges_nobody(
    bench: Bench, roster: Roster, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.enter("wrk_late", beat_ago=100)
    roster.beat()
    write = bench.database.write

    def held_up() -> object:
        roster._last_beat -= LEASE
        return write()

    monkeypatch.setattr(bench.database, "write", held_up)
    assert roster.reap() == 0
    assert state_of(bench, "wrk_late") == "alive"


def test_nobody_is_late_by_a_clock_that_was_put_on(bench: Bench, roster: Roster, clock: Clock) -> None:
    """Then all beats are as if they had been put back: ours, too, which went through a moment ago."""
    bench.enter("wrk_live")
    roster.beat()
    with bench.database.write() as connection:
        connection.execute(workers.update().values(beat_at=workers.c.beat_at - 100))
    roster._last_said -= 100
    assert roster._may_judge()
    assert roster.reap() == 0
    roster.beat()  # who has beaten since is not late; the others have not had the time
    assert roster.reap() == 0
    assert state_of(bench, "wrk_live") == "alive"
    for _ in range(3):
        assert roster.beat()
        clock.at += LEASE / 2
    assert roster.reap() == 1


def test_a_worker_that_was_declared_dead_finds_out(bench: Bench, roster: Roster) -> None:
    assert roster.beat()
    with bench.database.write() as connection:
        connection.execute(workers.update().values(state="dead"))
    assert not roster.beat()


def test_only_who_beats_counts_as_live(bench: Bench, roster: Roster) -> None:
    bench.enter("wrk_dead", "dead")
    bench.enter("wrk_late", beat_ago=100)
    roster.beat()
    assert live_workers(bench.database, 60) == 1
    roster.leave()
    assert live_workers(bench.database, 60) == 0


def test_who_ended_long_ago_is_forgotten(bench: Bench, roster: Roster) -> None:
    bench.enter("wrk_dead", "dead", beat_ago=100)
    bench.enter("wrk_recent", "gone")
    bench.enter("wrk_late", beat_ago=100)
    assert roster.forget(50) == 1
    with bench.database.read() as connection:
        left = set(connection.execute(sa.select(workers.c.id)).scalars())
    assert left == {"wrk_recent", "wrk_late", roster.worker_id}

"""A job ends, whatever of its end cannot be written: what may pass is tried again ever later, and the queue goes on."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping
from structlog.testing import capture_logs

from app.jobs.ending import STUCK_TRIES
from app.jobs.executor import LocalExecutor
from app.jobs.settling import Settled, chain
from app.jobs.supervisor import Supervisor
from app.storage.tables import counters
from tests.jobs.conftest import Bench, part
from tests.jobs.test_supervisor import LIMITS, Apart, supervised
from tests.processes import eventually
from tests.service import Inline

MOST = LIMITS.attempts + STUCK_TRIES


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[Any]]:
    """What was logged, not written: traces are long."""
    with capture_logs() as said:
        yield said


@pytest.fixture
def supervisor(bench: Bench) -> Iterator[Supervisor]:
    yield from supervised(bench, Inline())


def refuse(connection: Connection, job: RowMapping, result: Mapping[str, Any] | None) -> None:
    connection.execute(counters.insert().values(name=f"undone {job['id']}", labels="", value=1))
    raise RuntimeError("a defect in what a job's end changes")


def note(connection: Connection, job: RowMapping, result: Mapping[str, Any] | None) -> None:
    """A second end of one job breaks the primary key."""
    connection.execute(counters.insert().values(name=job["id"], labels=job["state"], value=1))


def noted(bench: Bench) -> set[tuple[str, str]]:
    with bench.database.read() as connection:
        return {(name, labels) for name, labels, _ in connection.execute(sa.select(counters))}


def settle(bench: Bench, settled: Settled, kind: str = "comparison") -> None:
    object.__setattr__(bench.handlers[kind], "settled", settled)


def tries(bench: Bench, supervisor: Supervisor, job_id: str) -> list[float]:
    """Does a job until it has ended; returns how long it was to wait before each try."""
    waits = []
    for _ in range(2 * MOST):
        with bench.database.read() as connection:
            now = connection.execute(sa.select(bench.database.now())).scalar_one()
        supervisor.run(job_id)
        row = bench.row(job_id)
        if row["state"] != "queued":
            return waits
        waits.append(row["retry_at"] - now)
        bench.set(job_id, retry_at=None)
    raise AssertionError("it never ends")


def test_a_job_that_cannot_be_settled_is_tried_ever_later_and_ends_as_failed_with_the_cause(
    bench: Bench, supervisor: Supervisor
) -> None:
    settle(bench, chain(refuse, note))
    poison = bench.submit()
    waits = tries(bench, supervisor, poison)
    least = [2, 4, 60, 120, 240, 480, 960]
    assert len(waits) == len(least) == MOST - 1
    assert all(seconds <= wait < seconds + 2 for seconds, wait in zip(least, waits, strict=True))
    row = bench.row(poison)
    assert (row["state"], row["attempts"]) == ("failed", MOST)
    assert "RuntimeError" in row["error"]["detail"]
    assert row["finished_at"] is not None
    assert noted(bench) == {(poison, "failed")}  # what can be settled is, and nothing by halves


def test_the_queue_goes_on_beside_one_that_cannot_be_settled(bench: Bench, supervisor: Supervisor) -> None:
    settle(bench, refuse)
    poison, study = bench.submit(), bench.submit("study")
    supervisor.run(poison)
    supervisor.run(study)
    assert (bench.state(poison), bench.state(study), supervisor.free()) == ("queued", "succeeded", 1)
    assert supervisor.release_strays(bench.recovery, 3) == supervisor.release_strays(bench.recovery, 3) == 0


def test_a_refusal_that_cannot_be_settled_says_in_the_end_what_it_said(bench: Bench, supervisor: Supervisor) -> None:
    settle(bench, refuse)
    job_id = bench.submit(end="refuse")
    assert len(tries(bench, supervisor, job_id)) == MOST - 1
    assert bench.row(job_id)["error"]["detail"] == "it cannot be done as asked; ask otherwise"


def test_a_part_ends_though_a_job_that_waits_for_it_cannot_be_settled(bench: Bench, supervisor: Supervisor) -> None:
    waiting, other = bench.parked(part("c", end="refuse")), bench.submit("study")
    claim = bench.claimed(other)
    bench.ledger.park(claim, [part("c", end="refuse")])
    settle(bench, refuse)
    settle(bench, note, "study")
    settle(bench, note, "extraction")
    part_id = bench.of_content("c")
    tries(bench, supervisor, part_id)
    assert [bench.state(job_id) for job_id in (part_id, waiting, other)] == ["failed"] * 3
    assert noted(bench) == {(part_id, "failed"), (other, "failed")}


def test_one_that_cannot_be_settled_keeps_no_other_in_a_dead_workers_hands(bench: Bench) -> None:
    settle(bench, refuse)
    poison, other = bench.claimed(worker="wrk_dead"), bench.claimed(bench.submit("study"), "wrk_dead")
    bench.set(poison.job_id, losses=2)
    assert bench.recovery.recover(3) == 2
    assert (bench.state(poison.job_id), bench.state(other.job_id)) == ("failed", "queued")
    assert "3 workers died" in bench.row(poison.job_id)["error"]["detail"]


def test_one_that_cannot_be_settled_can_be_cancelled(bench: Bench) -> None:
    settle(bench, refuse)
    job_id = bench.submit()
    assert bench.cancel(job_id)
    assert bench.state(job_id) == "cancelled"


def test_a_claim_that_nobody_heard_of_goes_back_and_what_is_in_hand_stays(bench: Bench) -> None:
    """The database may take a claim, and go away before it says so."""
    for supervisor in supervised(bench, LocalExecutor(preload=("app.jobs.child", "tests.jobs.fakes"))):
        held, unheard = bench.submit(seconds=60), bench.claimed(worker="wrk_a")
        elsewhere = bench.claimed(worker="wrk_b")
        run = Apart(supervisor, held)
        eventually(lambda held=held: bench.state(held) == "running")
        assert supervisor.release_strays(bench.recovery, 3) == 0  # it may be on its way
        assert supervisor.release_strays(bench.recovery, 3) == 1
        assert [bench.state(job) for job in (held, unheard.job_id, elsewhere.job_id)] == [
            "running",
            "queued",
            "running",
        ]
        assert bench.row(unheard.job_id)["losses"] == 1
        assert not bench.ledger.publish(unheard, {})
        assert supervisor.release_strays(bench.recovery, 3) == 0
        supervisor.stopping.set()
        run.ends()

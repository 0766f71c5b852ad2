"""The queue is fair between teams, keeps priorities within one, gives a worker what it has room for, loses nothing."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version

import pytest
import sqlalchemy as sa

from alignment.errors import RequestError
from app.jobs import NewJob
from app.jobs.dispatcher import Dispatcher
from app.jobs.engine import Engine
from app.jobs.handler import queue_of, queues_of
from app.worker import devices
from tests.jobs.conftest import Bench
from tests.jobs.test_roster import take
from tests.processes import eventually, never


@contextmanager
def dispatching(
    bench: Bench,
    run: Callable[[str], None],
    free: Callable[[], int],
    per_team: int = 8,
    queues: Sequence[str] = ("score",),
) -> Iterator[Dispatcher]:
    """A worker's dispatcher in this process."""
    engine = Engine(bench.database)
    made = Dispatcher(engine, "wrk_here", queues, per_team=per_team, free=free, run=run)
    try:
        yield made
    finally:
        made.stop(5)
        engine.close()


class Done:
    """Notes what was taken, one after the other."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.busy = 0
        self.most = 0
        self._lock = threading.Lock()

    def __call__(self, job_id: str) -> None:
        with self._lock:
            self.order.append(job_id)

    def free(self) -> int:
        return 1


def test_a_team_with_hundreds_does_not_hold_up_one_with_two(bench: Bench) -> None:
    many = {bench.submit(team="tea_many") for _ in range(200)}
    few = {bench.submit(team="tea_few") for _ in range(2)}
    done = Done()
    with dispatching(bench, done, done.free):
        eventually(lambda: few <= set(done.order))
    # Each turn is a fair draw between the two: to need more than 40 for two of one has odds of one in ten thousand
    # million. In the order of asking it would take 201.
    first = [job_id in few for job_id in done.order].index(True)
    last = max(done.order.index(job_id) for job_id in few)
    assert first < last < 40
    assert set(done.order) <= many | few


def test_what_asks_for_a_gpu_goes_to_workers_of_gpus_alone(bench: Bench) -> None:
    with bench.database.write() as connection:
        new = NewJob("comparison", "tea_1", queue_of("score", "cuda:1"), {}, {})
        wants_gpu = str(bench.ledger.submit(connection, new)["id"])
    anywhere = bench.submit()
    done = Done()
    with dispatching(bench, done, done.free, queues=queues_of(["score"], devices(["cpu"]))):
        eventually(lambda: done.order == [anywhere])
        never(lambda: wants_gpu in done.order)
    with dispatching(bench, done, done.free, queues=queues_of(["score"], devices(["cuda:0", "cuda:1"]))):
        eventually(lambda: done.order == [anywhere, wants_gpu])


def test_a_worker_has_devices_of_one_kind() -> None:
    with pytest.raises(RequestError, match="start a worker for each"):
        devices(["cpu", "cuda:0"])


def test_within_a_team_priority_comes_first_then_age(bench: Bench) -> None:
    made = [(priority, bench.submit(priority=priority)) for priority in (5, 1, 10, 5, 1, 3)]
    done = Done()
    with dispatching(bench, done, done.free):
        eventually(lambda: len(done.order) == len(made))
    assert done.order == [job_id for _, job_id in sorted(made, key=lambda pair: pair[0])]


def test_a_worker_is_given_no_more_than_it_has_room_for(bench: Bench) -> None:
    made = [bench.submit() for _ in range(6)]
    room, running, begun = [2], threading.Semaphore(0), Done()

    def run(job_id: str) -> None:
        room[0] -= 1
        begun(job_id)
        running.acquire(timeout=60)

    with dispatching(bench, run, lambda: max(0, room[0])):
        eventually(lambda: len(begun.order) == 2)
        never(lambda: len(begun.order) > 2)
        room[0] = 100
        eventually(lambda: len(begun.order) == 6)
        running.release(6)
    assert sorted(begun.order) == sorted(made)


def test_a_team_has_no_more_running_than_it_may(bench: Bench) -> None:
    for _ in range(5):
        bench.submit(team="tea_many")
    other = bench.submit(team="tea_few")
    running, begun = threading.Semaphore(0), Done()

    def run(job_id: str) -> None:
        begun(job_id)
        running.acquire(timeout=60)

    with dispatching(bench, run, lambda: 10, per_team=2):
        eventually(lambda: len(begun.order) == 3)
        assert other in begun.order
        never(lambda: len(begun.order) > 3)
        running.release(6)
        eventually(lambda: len(begun.order) == 6)


def test_an_entry_that_counts_as_ours_and_is_not_is_dropped_and_the_job_queued_anew(bench: Bench) -> None:
    bench.enter("wrk_here")
    lost = bench.submit()
    take(bench, f"{lost}/1", "wrk_other")
    done, going = Done(), threading.Event()

    def run(job_id: str) -> None:
        done(job_id)
        going.wait(60)

    with dispatching(bench, run, done.free) as dispatcher:
        held = bench.submit()
        eventually(lambda: done.order == [held])
        take(bench, f"{lost}/1", "wrk_here")  # not before: at its start DBOS runs what has its own name
        assert dispatcher.drop_strays() == 0  # it may be on its way
        assert dispatcher.drop_strays() == 1
        assert bench.recovery.redispatch() == 1
        eventually(lambda: done.order == [held, lost])
        assert dispatcher.drop_strays() == 0
        going.set()


def test_what_is_done_is_pruned_and_what_is_not_stays(bench: Bench) -> None:
    made = [bench.submit() for _ in range(3)]
    done = Done()
    with dispatching(bench, done, done.free):
        eventually(lambda: len(done.order) == 3)
    waiting = bench.submit()
    assert bench.engine.prune(3600) == 0
    assert bench.engine.prune(-60, most=2) == 3  # so many at once, and then the rest
    schema = "" if bench.database.is_sqlite else "dbos."
    with bench.database.read() as connection:
        left = connection.execute(sa.text(f"SELECT workflow_uuid FROM {schema}workflow_status")).scalars().all()
    assert left == [f"{waiting}/1"]
    assert len(made) == 3


def test_the_pinned_queue_has_the_places_that_we_fit() -> None:
    """What `dispatcher` changes inside DBOS is seen in its effects above; this says where to look on an upgrade."""
    assert version("dbos").startswith("3.4.")

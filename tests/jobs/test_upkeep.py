"""Nothing that the queue and its processes leave behind grows for ever."""

import threading

import psutil
import sqlalchemy as sa

from app.jobs.executor import LocalExecutor, Order
from app.jobs.supervisor import Supervisor
from app.storage.tables import METADATA
from tests.jobs.conftest import Bench, part
from tests.jobs.test_dispatcher import Done, dispatching
from tests.jobs.test_supervisor import executor, supervised
from tests.processes import eventually

__all__ = ["executor"]
KEPT = {"queues", "application_versions", "dbos_migrations"}  # a row a queue, or a version of ours or theirs


def rows(bench: Bench) -> dict[str, int]:
    """How many rows each of the queue's own tables has."""
    schema = None if bench.database.is_sqlite else "dbos"
    ours = {*METADATA.tables, "alembic_version"}
    with bench.database.read() as connection:
        names = [name for name in sa.inspect(connection).get_table_names(schema) if name not in ours]
        where = "" if schema is None else f"{schema}."
        return {name: connection.execute(sa.text(f"SELECT count(*) FROM {where}{name}")).scalar_one() for name in names}


def test_of_what_is_done_the_queue_keeps_nothing(bench: Bench) -> None:
    made = [bench.submit() for _ in range(5)]
    done = Done()
    with dispatching(bench, done, done.free):
        eventually(lambda: len(done.order) == len(made))
    assert rows(bench)["workflow_status"] == len(made)
    assert bench.engine.prune(-60) == len(made)
    assert {name: count for name, count in rows(bench).items() if count and name not in KEPT} == {}


def test_a_queue_that_no_worker_takes_from_keeps_nothing_of_jobs_that_have_ended(bench: Bench) -> None:
    waiting, cancelled = bench.submit(), bench.submit()
    parent = bench.parked(part("c"))
    held = bench.claimed()
    assert bench.cancel(cancelled)
    assert bench.recovery.drop_spent() == 3  # of the parent and of what is in hand, too: nobody took them from it here
    assert [bool(bench.queued(job)) for job in (waiting, cancelled, parent)] == [True, False, False]
    assert bench.queued(bench.of_content("c"))
    assert bench.recovery.drop_spent() == 0
    assert bench.recovery.redispatch() == 0
    assert bench.ledger.give_back(held)
    assert len(bench.queued(held.job_id)) == 1


def test_a_worker_has_as_many_files_open_after_many_jobs_as_after_a_few(bench: Bench, executor: LocalExecutor) -> None:
    for supervisor in supervised(bench, executor):

        def some(supervisor: Supervisor = supervisor) -> int:
            for end in ("done", "refuse", "die"):
                job_id = bench.submit(end=end)
                bench.set(job_id, attempts=2)  # the third is the last
                supervisor.run(job_id)
            assert supervisor.free() == 1
            return int(psutil.Process().num_fds())

        few = some()
        assert [some() for _ in range(3)][-1] <= few + 1


def test_work_that_was_killed_before_it_began_leaves_no_process_and_no_file_open(executor: LocalExecutor) -> None:
    me = psutil.Process()

    def some() -> int:
        for _ in range(5):
            executor.start(Order("tests.jobs.fakes:run", {"seconds": 60}, "cpu", {})).kill()
        eventually(lambda: not any(thread.name == "begin" for thread in threading.enumerate()))
        eventually(lambda: len(me.children(recursive=True)) == len(me.children()))  # what forks them forked none
        return int(me.num_fds())

    few = some()
    assert [some() for _ in range(3)][-1] <= few + 1

"""What may be lost is found among the few entries that went wrong, however many jobs wait; and nothing stays lost."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from app.jobs import NewJob
from app.jobs.recovery import _ALL_SECONDS
from app.jobs.roster import Roster
from app.storage import Database
from tests.jobs.conftest import Bench
from tests.jobs.test_roster import take


class Work:
    """What a database was asked, and what that took: rows that it looked at, or SQLite's own steps."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.steps = 0

    @property
    def writes(self) -> list[str]:
        return [statement for statement, _ in self.asked if not statement.lstrip().startswith(("SELECT", "BEGIN"))]


@contextmanager
def watched(database: Database) -> Iterator[Work]:
    work = Work()

    def ask(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        work.asked.append((statement, parameters))

    def count(connection: Any, *_: Any) -> None:
        if database.is_sqlite:
            connection.set_progress_handler(step, 1)

    def step() -> None:
        work.steps += 1

    event.listen(database.engine, "before_cursor_execute", ask)
    event.listen(database.engine, "checkout", count)
    yield work
    event.remove(database.engine, "before_cursor_execute", ask)
    event.remove(database.engine, "checkout", count)
    with database.read() as connection:
        if database.is_sqlite:
            connection.connection.set_progress_handler(None, 1)  # type: ignore[attr-defined]
            return
        for statement, parameters in work.asked:
            if statement.startswith("SELECT"):
                found = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters).scalar()
                plan = json.loads(found) if isinstance(found, str) else found
                work.steps += _rows(plan[0]["Plan"])


def _rows(node: dict[str, Any]) -> int:
    here = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    return int(here * node["Actual Loops"]) + sum(_rows(inner) for inner in node.get("Plans", []))


def submit(bench: Bench, count: int) -> list[str]:
    with bench.database.write() as connection:
        made = [
            str(bench.ledger.submit(connection, NewJob("comparison", "tea_1", "score", {}, {}))["id"])
            for _ in range(count)
        ]
    if not bench.database.is_sqlite:  # which it does by itself in time
        with bench.database.write() as connection:
            connection.execute(sa.text("ANALYZE"))
    return made


def swept(bench: Bench, roster: Roster) -> Work:
    with watched(bench.database) as work:
        assert roster._sweep() == 0
    return work


def test_a_look_takes_as_much_with_a_thousand_waiting_as_with_three(bench: Bench) -> None:
    roster = Roster(bench.ledger, 6, 3)
    roster.register(["cpu"], ["score"])
    submit(bench, 3)
    take(bench, f"{submit(bench, 1)[0]}/1", roster.worker_id)
    assert roster._sweep() == 0  # the first looks at all
    few = swept(bench, roster)
    submit(bench, 1000)
    many = swept(bench, roster)
    assert len(many.asked) == len(few.asked)
    assert many.steps <= few.steps + 20
    assert not many.writes


def test_who_looks_for_what_is_due_looks_at_nothing_else(bench: Bench) -> None:
    later = bench.claimed()
    assert bench.ledger.retry(later, {}, 60, outage=False)
    submit(bench, 3)
    with watched(bench.database) as few:
        assert bench.recovery.retry_due() == 0
    submit(bench, 1000)
    with watched(bench.database) as many:
        assert bench.recovery.retry_due() == 0
    assert many.steps <= few.steps + 20


def test_each_look_at_what_went_wrong_costs_that_alone(bench: Bench) -> None:
    made = submit(bench, 2000)
    assert bench.recovery.redispatch() == 0
    for job_id in made[:5]:
        take(bench, f"{job_id}/1", "wrk_gone", "CANCELLED")
    assert bench.recovery.redispatch() == 5
    with watched(bench.database) as work:  # they are known to have gone wrong until they are pruned
        assert bench.recovery.redispatch() == 0
    assert not work.writes
    assert work.steps < 100 * 5


@pytest.mark.parametrize("status", ["PENDING", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"])
def test_what_goes_wrong_is_found_at_the_next_look(bench: Bench, status: str) -> None:
    job_id, again = submit(bench, 2)
    assert bench.recovery.redispatch() == 0
    take(bench, f"{job_id}/1", bench.enter("wrk_dead", "dead"), status)
    take(bench, f"{again}/1", "wrk_never_seen", status)
    assert bench.recovery.redispatch() == 2
    assert [entry for entry, *_ in bench.queued(job_id)] == [f"{job_id}/2"]
    take(bench, f"{job_id}/2", "wrk_dead", status)
    assert bench.recovery.redispatch() == 1
    assert [entry for entry, *_ in bench.queued(job_id)] == [f"{job_id}/3"]
    assert bench.recovery.redispatch() == 0


def test_what_leaves_no_trace_is_found_before_long_and_by_who_comes_new(bench: Bench) -> None:
    job_id, other = submit(bench, 2)
    assert bench.recovery.redispatch() == 0
    take(bench, f"{job_id}/1", "wrk_live", "SUCCESS")
    assert bench.recovery.redispatch() == 0
    assert bench.recovery._looked_at_all is not None
    bench.recovery._looked_at_all -= _ALL_SECONDS
    assert bench.recovery.redispatch() == 1
    table = f"{'' if bench.database.is_sqlite else 'dbos.'}workflow_status"
    with bench.database.write() as connection:
        connection.execute(sa.text(f"DELETE FROM {table} WHERE workflow_uuid = :entry"), {"entry": f"{other}/1"})
    assert Bench(bench.database).recovery.redispatch() == 1
    assert len(bench.queued(job_id)) == len(bench.queued(other)) == 1

"""Firing: a schedule that is due is run, once, however many workers look.

The move of `next_at` to the next time that it is due, the job and the run's row are one transaction; the move is
conditional on the `next_at` that was seen, so that of several workers one makes it, and one that dies makes none of it.
Jobs are locked before the schedule, and that before its runs, as by what ends a job (`history`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy import Connection, RowMapping

from app.api.state import State
from app.problems import Problem
from app.schedules.cron import next_after
from app.schedules.requests import prepare, submit
from app.storage import new_id
from app.storage.database import is_outage
from app.storage.tables import jobs, schedule_runs, schedules

_LOG = structlog.get_logger("accord.schedules")
Clock = Callable[[], sa.ColumnElement[float]]
LATE_SECONDS = 60.0  # later than this, a run was missed: no worker was there
MOST_WAITING = 100  # runs of a schedule that wait for the one before
_AT_ONCE = 200
_GOING_ON = "the run before had not ended"


class _TooLateError(Exception):
    """The schedule is not any more what it was seen to be."""


class Firing:
    """Runs what is due."""

    def __init__(self, state: State, now: Clock | None = None) -> None:
        """Takes the application's parts, and what says what time it is: unset, the database's clock."""
        self._state, self._database = state, state.database
        self._now = now or state.database.now

    def run(self) -> int:
        """Runs all that is due, and what waited for a run that has ended; returns how many runs it wrote or began."""
        due = sa.select(schedules.c.id).where(schedules.c.next_at <= self._now()).order_by(schedules.c.next_at)
        before = schedule_runs.alias()  # what is still waited for is not looked at: many of it would hide the others
        going = sa.exists().where(before.c.schedule_id == schedule_runs.c.schedule_id, before.c.outcome == "started")
        waiting = (
            sa.select(schedule_runs.c.schedule_id)
            .where(schedule_runs.c.outcome == "waiting", ~going)
            .group_by(schedule_runs.c.schedule_id)
            .order_by(sa.func.min(schedule_runs.c.id))
        )
        count = 0
        for asked, step in ((waiting, self._go_on), (due, self._fire)):
            with self._database.read() as connection:
                found = connection.execute(asked.limit(_AT_ONCE)).scalars().all()
            count += sum(self._tried(step, schedule_id) for schedule_id in found)
        return count

    def by_hand(self, connection: Connection, schedule: RowMapping) -> RowMapping:
        """Runs a schedule now, paused or not; returns the run.

        Raises:
            Problem: 409 if the run before has not ended and the schedule skips then; else if it cannot be met.
        """
        now = self._moment(connection)
        if self._stopped(connection, schedule, now):
            raise Problem(409, f"{_GOING_ON}, and this schedule's overlap is skip; wait for it, or cancel it")
        if schedule["overlap"] == "queue" and self._live(connection, schedule["id"]):
            return self._write(connection, schedule, now, now, manual=True, outcome="waiting", detail=_GOING_ON)
        job = submit(self._state, connection, schedule)
        return self._write(connection, schedule, now, now, manual=True, outcome="started", job_id=job["id"])

    def _tried(self, step: Callable[[Connection, str], bool], schedule_id: str) -> bool:
        try:
            prepare(self._state, schedule_id)
            return self._database.transact(lambda connection: step(connection, schedule_id))
        except _TooLateError:
            return False
        except Exception as error:
            if is_outage(error):
                raise
            _LOG.exception("schedule failed", schedule=schedule_id)  # the others are not to wait for it
            return False

    def _fire(self, connection: Connection, schedule_id: str) -> bool:
        """Runs a schedule if it is due; returns whether it was."""
        schedule = self._look(connection, schedule_id)
        now = self._moment(connection)
        if schedule is None or schedule["next_at"] is None or schedule["next_at"] > now:
            return False
        due = schedule["next_at"]
        missed = now - due > LATE_SECONDS and not schedule["catch_up"]
        stopped = not missed and self._stopped(connection, schedule, now)
        moved = connection.execute(
            schedules.update()
            .where(schedules.c.id == schedule_id, schedules.c.next_at == due)
            .values(next_at=next_after(schedule["cron"], schedule["timezone"], now))
            .returning(*schedules.c)
        )
        schedule = moved.mappings().one_or_none()
        if schedule is None:  # another was quicker, or it was paused or changed meanwhile
            raise _TooLateError  # and not a return: what was cancelled goes on
        if missed:
            self._skip(connection, schedule, due, now, "no worker ran when it was due, and catch_up is off")
        elif stopped:
            self._skip(connection, schedule, due, now, _GOING_ON)
        elif schedule["overlap"] == "queue" and (waiting := self._live(connection, schedule_id)):
            if waiting > MOST_WAITING:
                self._skip(connection, schedule, due, now, f"{MOST_WAITING} runs wait already")
            else:
                self._write(connection, schedule, due, now, outcome="waiting", detail=_GOING_ON)
        else:
            run = self._write(connection, schedule, due, now, outcome="started")
            self._start(connection, schedule, run, now)
        return True

    def _go_on(self, connection: Connection, schedule_id: str) -> bool:
        """Begins the first run that waits, if the one before it has ended; returns whether it did."""
        asked = sa.select(schedules).where(schedules.c.id == schedule_id).with_for_update()
        schedule = connection.execute(asked).mappings().one_or_none()
        if schedule is None or self._live(connection, schedule_id, "started"):
            return False
        ours = (schedule_runs.c.schedule_id == schedule_id, schedule_runs.c.outcome == "waiting")
        first = connection.execute(sa.select(sa.func.min(schedule_runs.c.id)).where(*ours)).scalar_one()
        run = (
            connection.execute(
                schedule_runs.update()
                .where(*ours, schedule_runs.c.id == first)
                .values(outcome="started", detail=None)
                .returning(*schedule_runs.c)
            )
            .mappings()
            .one_or_none()
        )
        if run is None:
            return False
        self._start(connection, schedule, run, self._moment(connection))
        return True

    def _start(self, connection: Connection, schedule: RowMapping, run: RowMapping, now: float) -> None:
        """Queues a run's job, or writes down why it cannot be."""
        ours = schedule_runs.update().where(schedule_runs.c.id == run["id"])
        try:
            job = submit(self._state, connection, schedule)
        except Problem as problem:
            refused = {"outcome": "refused", "detail": problem.detail, "finished_at": now}
            connection.execute(ours.values(**refused))
            _LOG.warning("schedule refused", schedule=schedule["id"], detail=problem.detail)
        else:
            connection.execute(ours.values(job_id=job["id"]))
            _LOG.info("schedule fired", schedule=schedule["id"], job=job["id"])

    def _look(self, connection: Connection, schedule_id: str) -> RowMapping | None:
        asked = sa.select(schedules).where(schedules.c.id == schedule_id)
        schedule = connection.execute(asked).mappings().one_or_none()
        if schedule is not None and schedule["overlap"] == "replace":
            self._database.alone(connection)  # as whoever cancels; nothing is locked yet
            schedule = connection.execute(asked).mappings().one_or_none()
        return schedule

    def _stopped(self, connection: Connection, schedule: RowMapping, now: float) -> bool:
        """Whether the run before stops this one; where this one stops that one, it does so here."""
        if schedule["overlap"] == "queue":
            return False
        running = self._running(connection, schedule["id"])
        if schedule["overlap"] == "skip":
            return bool(running)
        locked = sa.select(jobs.c.id).where(jobs.c.id.in_(running)).order_by(jobs.c.id)
        connection.execute(locked.with_for_update())  # all, before the first one's end locks what is behind jobs
        for job_id in running:
            self._state.ledger.cancel(connection, job_id)
        connection.execute(
            schedule_runs.update()
            .where(schedule_runs.c.job_id.in_(running), schedule_runs.c.outcome == "cancelled")
            .values(detail="the next run was due, and overlap is replace")
        )
        return False

    def _running(self, connection: Connection, schedule_id: str) -> list[str]:
        asked = sa.select(schedule_runs.c.job_id).where(
            schedule_runs.c.schedule_id == schedule_id,
            schedule_runs.c.outcome == "started",
            schedule_runs.c.job_id.is_not(None),
        )
        return list(connection.execute(asked.order_by(schedule_runs.c.job_id)).scalars())

    def _live(self, connection: Connection, schedule_id: str, *outcomes: str) -> int:
        """Returns how many runs have not ended."""
        asked = sa.select(sa.func.count()).where(
            schedule_runs.c.schedule_id == schedule_id,
            schedule_runs.c.outcome.in_(outcomes or ("started", "waiting")),
        )
        return int(connection.execute(asked).scalar_one())

    def _skip(self, connection: Connection, schedule: RowMapping, due: float, now: float, detail: str) -> None:
        self._write(connection, schedule, due, now, outcome="skipped", detail=detail, finished_at=now)

    def _write(self, connection: Connection, schedule: RowMapping, due: float, now: float, **values: Any) -> RowMapping:
        row = {"manual": False, "alerted": False, "due_at": due, "fired_at": now, **values}
        made = schedule_runs.insert().values(id=new_id("run"), schedule_id=schedule["id"], **row)
        return connection.execute(made.returning(*schedule_runs.c)).mappings().one()

    def _moment(self, connection: Connection) -> float:
        return float(connection.execute(sa.select(self._now())).scalar_one())

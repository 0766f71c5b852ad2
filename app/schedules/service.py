"""Service: schedules are made, found, changed and deleted."""

from __future__ import annotations

import json
import re
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping

from app.api.state import State
from app.probes.service import find as find_probe
from app.probes.service import prepare
from app.problems import not_found
from app.schedules.alerts import key_of
from app.schedules.cron import next_after
from app.schedules.requests import rehearse
from app.schedules.schemas import Alert, NewSchedule, ScheduleChange
from app.scoring.schemas import Request
from app.storage import new_id
from app.storage.tables import schedule_runs, schedules
from app.teams import audit
from app.teams.principal import Principal
from app.webhooks import check_url

ID = re.compile(r"sch_[0-9a-z]{26}")


def check(state: State, principal: Principal, body: NewSchedule | ScheduleChange) -> None:
    """Refuses what takes long to look up: probe sets, and addresses of webhooks. Call it outside a transaction.

    Raises:
        Problem: 422.
    """
    kind, request = asked(body)
    if request is not None:
        prepare(state, request.probe)
        with state.database.read() as connection:
            find_probe(state, connection, principal, request.probe, f"/{kind}/probe")
    if request is not None and request.webhook_url is not None:
        check_url(state.settings, request.webhook_url, f"/{kind}/webhook_url")
    if body.alert is not None and body.alert.webhook_url is not None:
        check_url(state.settings, body.alert.webhook_url, "/alert/webhook_url")


def asked(body: NewSchedule | ScheduleChange) -> tuple[str, Request | None]:
    """Returns the kind of job that is to be repeated, and its request; None where a change leaves it."""
    if body.study is not None:
        return "study", body.study
    return "comparison", body.comparison  # a change that names neither has None there


def create(state: State, connection: Connection, principal: Principal, body: NewSchedule) -> RowMapping:
    """Makes a schedule, every check that its runs will make made now; returns its row.

    Raises:
        Problem: 422 if what it asks for cannot be met.
    """
    kind, request = asked(body)
    assert request is not None  # noqa: S101 - a new one has it
    shown = rehearse(state, connection, principal, kind, request)
    now = _now(state, connection)
    row = (
        connection.execute(
            schedules.insert()
            .values(
                id=new_id("schedule"),
                team_id=principal.team,
                key_id=principal.key,
                name=body.name,
                cron=body.cron,
                timezone=body.timezone,
                kind=kind,
                request=shown,
                alert=_alert(body.alert, shown, now),
                catch_up=body.catch_up,
                overlap=body.overlap,
                paused=body.paused,
                alerting=False,
                next_at=None if body.paused else next_after(body.cron, body.timezone, now),
                created_at=now,
                updated_at=now,
            )
            .returning(*schedules.c)
        )
        .mappings()
        .one()
    )
    audit.record(state.database, connection, principal, "schedule.create", row["id"], {"name": body.name})
    return row


def get(connection: Connection, principal: Principal, schedule_id: str, *, lock: bool = False) -> RowMapping:
    """Returns a schedule of the team's.

    Raises:
        Problem: 404 if it has none of that id.
    """
    row = None
    if ID.fullmatch(schedule_id):
        ours = (schedules.c.id == schedule_id, schedules.c.team_id == principal.team)
        query = sa.select(schedules).where(*ours)
        row = connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    if row is None:
        raise not_found("schedule", schedule_id)
    return row


def change(
    state: State, connection: Connection, principal: Principal, schedule_id: str, body: ScheduleChange
) -> RowMapping:
    """Changes a schedule from now on; returns its row.

    Raises:
        Problem: 404 if the team has none of that id, 422 if what it asks for cannot be met.
    """
    row = get(connection, principal, schedule_id, lock=True)
    given = body.model_fields_set
    values = {
        name: getattr(body, name) for name in given & {"name", "cron", "timezone", "paused", "catch_up", "overlap"}
    }
    now = _now(state, connection)
    kind, request = asked(body)
    if request is not None:
        values |= {"kind": kind, "request": rehearse(state, connection, principal, kind, request)}
    if request is not None or "alert" in given:
        alert = body.alert if "alert" in given else shown_alert(row)
        values |= {"alert": _alert(alert, values.get("request", row["request"]), now), "alerting": False}
    after = {**row, **values}
    if given & {"cron", "timezone", "paused"}:
        due = None if after["paused"] else next_after(after["cron"], after["timezone"], now)
        if due is None or given & {"cron", "timezone"} or row["next_at"] is None:
            values["next_at"] = due
    if not values:
        return row
    changed = schedules.update().where(schedules.c.id == schedule_id).values(**values, updated_at=now)
    row = connection.execute(changed.returning(*schedules.c)).mappings().one()
    if body.paused:
        _release(connection, schedule_id, now)
    audit.record(state.database, connection, principal, "schedule.change", schedule_id, {"fields": sorted(given)})
    return row


def delete(state: State, connection: Connection, principal: Principal, schedule_id: str) -> None:
    """Deletes a schedule with its history; a run's job that has not ended goes on.

    Raises:
        Problem: 404 if the team has none of that id; 403 if somebody else made it and the key is no admin's.
    """
    row = get(connection, principal, schedule_id, lock=True)
    audit.require_author(connection, principal, "schedule", schedule_id, "deleting a schedule that another key made")
    connection.execute(schedules.delete().where(schedules.c.id == schedule_id))
    audit.record(state.database, connection, principal, "schedule.delete", schedule_id, {"name": row["name"]})


def listed(principal: Principal, *, paused: bool | None, model: str | None, team: str | None) -> sa.Select[Any]:
    """Returns a query for the team's schedules.

    Args:
        principal: who asks.
        paused: only those that are, or are not.
        model: only those whose request names a model so.
        team: only those of that team, by name or id; there are none of another's.
    """
    query = sa.select(schedules).where(schedules.c.team_id == principal.team)
    if team is not None and team not in (principal.team, principal.team_name):
        query = query.where(sa.false())
    if paused is not None:
        query = query.where(schedules.c.paused.is_(paused))
    if model is not None:
        request = schedules.c.request
        # A list of names has each in quotation marks, escaped as JSON escapes them.
        among = sa.cast(request["models"], sa.Text).contains(json.dumps(model), autoescape=True)
        query = query.where(
            sa.or_(request["model_a"].as_string() == model, request["model_b"].as_string() == model, among)
        )
    return query


def history(schedule_id: str, outcome: str | None) -> sa.Select[Any]:
    """Returns a query for a schedule's runs."""
    query = sa.select(schedule_runs).where(schedule_runs.c.schedule_id == schedule_id)
    return query if outcome is None else query.where(schedule_runs.c.outcome == outcome)


def shown_alert(row: RowMapping) -> Alert | None:
    """Returns a schedule's alert as it was given."""
    alert = row["alert"]
    return None if alert is None else Alert(**{name: alert.get(name) for name in Alert.model_fields})


def _alert(alert: Alert | None, request: dict[str, Any], now: float) -> dict[str, Any] | None:
    """Returns what is kept of an alert: the metric by its key, and since when scores count."""
    if alert is None:
        return None
    return {**alert.model_dump(), "metric": key_of(alert.metric, request["metrics"]), "since": now}


def _release(connection: Connection, schedule_id: str, now: float) -> None:
    """Leaves out the runs that wait for another to end: the schedule rests."""
    waiting = (schedule_runs.c.outcome == "waiting", schedule_runs.c.manual.is_(False))
    skipped = {"outcome": "skipped", "detail": "the schedule was paused while it waited", "finished_at": now}
    connection.execute(
        schedule_runs.update().where(schedule_runs.c.schedule_id == schedule_id, *waiting).values(**skipped)
    )


def _now(state: State, connection: Connection) -> float:
    return float(connection.execute(sa.select(state.database.now())).scalar_one())

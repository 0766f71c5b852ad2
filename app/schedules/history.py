"""settle(): what the end of a run's job writes into its schedule's history, and whom it tells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping

from app.schedules.alerts import RULES, judge
from app.storage.tables import jobs, schedule_runs, schedules
from app.webhooks import enqueue, summary
from app.webhooks.outbox import place, stamp

EVENT = "schedule.alert"
_LOOKED_BACK = 50  # runs, for one with a score
_FACTS = ("id", "name", "reference", "fingerprint")


def settle(connection: Connection, job: RowMapping, result: Mapping[str, Any] | None) -> None:
    """Writes the outcome of the run that a job is, if it is one; raises its schedule's alert.

    Chain it behind what names the models in a job's error.
    """
    of_run = sa.select(schedule_runs.c.schedule_id).where(schedule_runs.c.job_id == job["id"])
    schedule_id = connection.execute(of_run).scalar_one_or_none()
    if schedule_id is None:
        return
    # The schedule before its run, as everybody who locks both.
    asked = sa.select(schedules).where(schedules.c.id == schedule_id).with_for_update()
    schedule = connection.execute(asked).mappings().one_or_none()
    if schedule is None:
        return
    found: dict[str, Any] = {"outcome": job["state"], "finished_at": job["finished_at"]}
    if result is not None:
        found |= {"scores": summary(job["kind"], result), "models": _models(result)}
    elif job["state"] == "failed":
        error = connection.execute(sa.select(jobs.c.error).where(jobs.c.id == job["id"])).scalar_one()
        found["detail"] = (error or {}).get("detail")
    run = (
        connection.execute(
            schedule_runs.update()
            .where(schedule_runs.c.job_id == job["id"], schedule_runs.c.outcome == "started")
            .values(**found)
            .returning(*schedule_runs.c)
        )
        .mappings()
        .one_or_none()
    )
    if run is not None and result is not None and schedule["alert"] is not None:
        _alert(connection, schedule, run, job)


def _alert(connection: Connection, schedule: RowMapping, run: RowMapping, job: RowMapping) -> None:
    alert = schedule["alert"]
    # What was begun before the request or the alert was changed measures something else.
    score = _score(run, alert) if run["fired_at"] >= alert["since"] else None
    if score is None:
        return
    before = _before(connection, run, alert)
    verdict = judge(alert, score, before, was_alerting=schedule["alerting"])
    if verdict.alerting != schedule["alerting"]:
        ours = schedules.c.id == schedule["id"]
        connection.execute(schedules.update().where(ours).values(alerting=verdict.alerting))
    if not verdict.news:
        return
    connection.execute(schedule_runs.update().where(schedule_runs.c.id == run["id"]).values(alerted=True))
    if alert["webhook_url"] is None:
        return
    content = {
        "id": schedule["id"],
        "name": schedule["name"],
        "run": run["id"],
        "job": job["id"],
        "url": place(job["kind"], job["id"]),
        "finished_at": stamp(job["finished_at"]),
        "metric": alert["metric"],
        "score": score,
        "previous": before,
        **{rule: alert[rule] for rule in RULES if alert[rule] is not None},
    }
    enqueue(
        connection,
        team=schedule["team_id"],
        url=alert["webhook_url"],
        event=EVENT,
        content=content,
        at=job["finished_at"],
    )


def _score(run: RowMapping, alert: Mapping[str, Any]) -> float | None:
    score: float | None = run["scores"].get(alert["metric"], {}).get("score")
    return score


def _before(connection: Connection, run: RowMapping, alert: Mapping[str, Any]) -> float | None:
    """Returns the score of the successful run before that has one."""
    asked = (
        sa.select(schedule_runs)
        .where(
            schedule_runs.c.schedule_id == run["schedule_id"],
            schedule_runs.c.outcome == "succeeded",
            schedule_runs.c.fired_at >= alert["since"],
            schedule_runs.c.id < run["id"],
        )
        .order_by(schedule_runs.c.id.desc())
        .limit(_LOOKED_BACK)
    )
    scores = (_score(row, alert) for row in connection.execute(asked).mappings())
    return next((score for score in scores if score is not None), None)


def _models(result: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns what a result's provenance says that it measured."""
    provenance = result.get("provenance", {})
    sides = provenance.get("models") or {
        side: provenance[f"model_{side}"] for side in ("a", "b") if f"model_{side}" in provenance
    }
    return {
        name: {**{fact: facts.get(fact) for fact in _FACTS}, "commit": _commit(facts.get("reference"))}
        for name, facts in sides.items()
    }


def _commit(reference: str | None) -> str | None:
    """Returns the commit that a hub model's reference holds.

    >>> _commit("hf:org/name@c9745ed"), _commit("builtin:minilm-l6")
    ('c9745ed', None)
    """
    if reference is None or not reference.startswith("hf:"):
        return None
    return reference.rpartition("@")[2] if "@" in reference else None

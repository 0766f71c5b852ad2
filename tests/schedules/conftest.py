"""A service with schedules, a clock that goes on when it is told to, and jobs that end as they are told to."""

from dataclasses import dataclass, field
from typing import Any

import pytest
import sqlalchemy as sa

from app.schedules.firing import Firing
from app.storage.tables import deliveries, jobs, schedule_runs, schedules, workers
from tests.service import Service
from tests.webhooks.receiver import Clock

COMPARISON = {"model_a": "builtin:minilm-l6", "model_b": "builtin:minilm-l3", "probe": "builtin:emoji"}
BEST = {"layer_a": "layer.5", "layer_b": "layer.2", "calibrated": 0.25, "p_value": 0.005}


def result(score: float | None, commit: str = "c1") -> dict[str, Any]:
    """What a comparison finds."""
    best = None if score is None else {**BEST, "score": score}
    side = {"id": "mdl_1", "name": "moving", "reference": f"hf:org/moving@{commit}", "fingerprint": f"f-{commit}"}
    return {
        "metrics": [{"key": "mutual_knn", "name": "mutual_knn", "grid": [[score]], "best": best}],
        "provenance": {
            "model_a": side,
            "model_b": {**side, "reference": "builtin:minilm-l3", "name": "builtin:minilm-l3"},
        },
    }


@dataclass
class Desk:
    """Where schedules are made, and their jobs ended."""

    service: Service
    clock: Clock = field(default_factory=Clock)

    @property
    def state(self) -> Any:
        return self.service.app.state.accord

    def firing(self) -> Firing:
        return Firing(self.state, self.clock)

    def post(self, **changed: Any) -> Any:
        body = {"name": "nightly", "cron": "30 2 * * *", "comparison": COMPARISON, **changed}
        return self.service.client.post("/v1/schedules", json=body)

    def make(self, **changed: Any) -> dict[str, Any]:
        """A schedule that is due in ten seconds by the desk's clock."""
        answer = self.post(**changed)
        assert answer.status_code == 201, answer.text
        made = answer.json()
        if not made["paused"]:
            self.set(made["id"], next_at=self.clock.at + 10)
        return made

    def set(self, schedule: str, **values: Any) -> None:
        with self.service.database.write() as connection:
            connection.execute(schedules.update().where(schedules.c.id == schedule).values(**values))

    def row(self, schedule: str) -> dict[str, Any]:
        with self.service.database.read() as connection:
            return dict(connection.execute(sa.select(schedules).where(schedules.c.id == schedule)).mappings().one())

    def runs(self, schedule: str) -> list[dict[str, Any]]:
        """Its runs, the oldest first."""
        with self.service.database.read() as connection:
            asked = sa.select(schedule_runs).where(schedule_runs.c.schedule_id == schedule)
            return [dict(row) for row in connection.execute(asked.order_by(schedule_runs.c.id)).mappings()]

    def outcomes(self, schedule: str) -> list[str]:
        return [run["outcome"] for run in self.runs(schedule)]

    def tick(self, seconds: float = 10.0, *, again: int = 2) -> None:
        """Lets time go by and workers look, more than once."""
        self.clock.at += seconds
        for _ in range(again):
            self.firing().run()

    def again(self, schedule: str) -> None:
        """Makes it due, and workers look."""
        self.set(schedule, next_at=self.clock.at + 10)
        self.tick()

    def jobs(self) -> list[dict[str, Any]]:
        with self.service.database.read() as connection:
            return [dict(row) for row in connection.execute(sa.select(jobs).order_by(jobs.c.id)).mappings()]

    def end(self, job: str, score: float | None = 0.5, *, commit: str = "c1", error: str | None = None) -> None:
        """Has a worker do a job."""
        claim = self.state.ledger.claim(job, "wrk_hand")
        assert claim is not None
        if error is None:
            assert self.state.ledger.publish(claim, result(score, commit))
        else:
            assert self.state.ledger.fail(claim, {"stage": "score", "model": None, "detail": error})

    def found(self, schedule: str, *scores: float | None) -> None:
        """Runs it once a score."""
        for score in scores:
            self.again(schedule)
            self.end(self.runs(schedule)[-1]["job_id"], score)

    def deliveries(self) -> list[dict[str, Any]]:
        with self.service.database.read() as connection:
            return [dict(row) for row in connection.execute(sa.select(deliveries).order_by(deliveries.c.id)).mappings()]


@pytest.fixture
def desk(service: Service) -> Desk:
    with service.database.write() as connection:
        now = service.database.now()
        connection.execute(
            workers.insert().values(
                id="wrk_hand", host="h", pid=1, devices=[], queues=[], state="alive", started_at=now, beat_at=now
            )
        )
    return Desk(service)

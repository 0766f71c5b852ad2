"""Jobs that ended long ago go, with their results; nothing else does."""

import sqlalchemy as sa

from app.jobs.retention import forget
from app.storage.tables import job_models, job_parts, jobs, results
from tests.service import Service

DAY = 24 * 3600.0


def make(service: Service, job_id: str, state: str, days: float, kind: str = "comparison") -> None:
    with service.database.write() as connection:
        ended = None if state in ("queued", "running", "waiting") else service.database.now() - days * DAY
        connection.execute(
            jobs.insert().values(
                id=job_id,
                kind=kind,
                team_id="tea_1",
                queue="score",
                priority=5,
                state=state,
                request={},
                payload={},
                created_at=service.database.now() - days * DAY,
                finished_at=ended,
            )
        )
        connection.execute(results.insert().values(job_id=job_id, body=b"", sha256=""))
        connection.execute(job_models.insert().values(job_id=job_id, model_id="mdl_1"))


def part(service: Service, job_id: str, part_id: str) -> None:
    with service.database.write() as connection:
        connection.execute(job_parts.insert().values(job_id=job_id, part_id=part_id, role="extract_a"))


def left(service: Service) -> dict[str, set[str]]:
    with service.database.read() as connection:
        return {
            table.name: set(connection.execute(sa.select(column)).scalars())
            for table, column in (
                (jobs, jobs.c.id),
                (results, results.c.job_id),
                (job_models, job_models.c.job_id),
                (job_parts, job_parts.c.job_id),
            )
        }


def test_old_ended_jobs_go_with_all_that_hangs_on_them(service: Service) -> None:
    for state in ("succeeded", "failed", "cancelled"):
        make(service, f"old_{state}", state, 91)
        make(service, f"young_{state}", state, 89)
    make(service, "old_running", "running", 91)
    part(service, "old_succeeded", "old_failed")
    assert forget(service.database, 90 * DAY) == 3
    stay = {"young_succeeded", "young_failed", "young_cancelled", "old_running"}
    assert left(service) == {"jobs": stay, "results": stay, "job_models": stay, "job_parts": set()}
    assert forget(service.database, 90 * DAY) == 0


def test_a_part_that_is_counted_on_stays(service: Service) -> None:
    make(service, "ext_1", "succeeded", 91, "extraction")
    make(service, "cmp_1", "waiting", 91)
    part(service, "cmp_1", "ext_1")
    assert forget(service.database, 90 * DAY) == 0


def test_any_number_of_them(service: Service) -> None:
    with service.database.write() as connection:
        row = {"kind": "comparison", "team_id": "t", "queue": "score", "priority": 5, "state": "failed"}
        row |= {"request": {}, "payload": {}, "created_at": 0.0, "finished_at": 0.0}
        connection.execute(jobs.insert(), [{"id": f"cmp_{number}", **row} for number in range(450)])
    assert forget(service.database, DAY) == 450

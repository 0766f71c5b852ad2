"""Trained models: registered when their training succeeds, and found again by the training's id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping
from sqlalchemy.dialects import postgresql, sqlite

from app.jobs.results import result_of
from app.problems import invalid
from app.storage import Database, new_id
from app.storage.tables import audit, jobs, models
from app.teams.principal import Principal

KIND = "training"
KEPT_SECONDS = 24 * 3600.0  # for which the files of a deleted model stay at least
_SAFE_SECONDS = KEPT_SECONDS / 2  # for which they can be registered anew: well before whoever takes them away looks
Member = Literal["a", "b"]


def adopt(connection: Connection, job: RowMapping, key: str | None, member: str, facts: Mapping[str, Any]) -> None:
    """Registers a model that a training made, in its team, and notes it as done by the key that asked.

    Args:
        connection: the transaction that ends the training.
        job: the training's row.
        key: whose request it was.
        member: which of its models.
        facts: its `id`, `reference`, `modality`, `layers`, `parameters`, `fingerprint` and `bytes`.
    """
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    values = {
        **facts,
        "team_id": job["team_id"],
        "shared": False,
        "source": {"type": KIND, "id": job["id"], "member": member},
        "created_at": job["finished_at"],
    }
    wanted = f"{job['id']}/{member}"
    for name in (wanted, f"{wanted} ({facts['id']})"):  # a team may have called something else so
        made = insert(models).values(**values, name=name).on_conflict_do_nothing().returning(models.c.id)
        if connection.execute(made).first() is not None:
            break
    note = {"team_id": job["team_id"], "key_id": key, "action": "model.create", "resource": facts["id"]}
    connection.execute(audit.insert().values(id=new_id("audit"), at=job["finished_at"], detail={"name": name}, **note))


def made_by(
    database: Database, connection: Connection, principal: Principal, training: str, member: Member, pointer: str
) -> RowMapping:
    """Returns the row of a model that a training of the team made, be it deleted since.

    Raises:
        Problem: 422 at `pointer` if the team has no such training, it made none, or its files are gone.
    """
    job = None
    if "\0" not in training:  # which PostgreSQL takes in no text
        ours = (jobs.c.id == training, jobs.c.kind == KIND, jobs.c.team_id == principal.team)
        job = connection.execute(sa.select(jobs.c.state).where(*ours)).mappings().one_or_none()
    if job is None:
        raise invalid(
            pointer, f"this team has no training {training[:40]!r}; ask for one with POST /v1/trainings, or list them"
        )
    found = result_of(connection, training)
    if found is None:
        state = "has not ended; wait for it" if job["state"] not in ("failed", "cancelled") else f"was {job['state']}"
        state = state.replace("was failed", "failed")
        raise invalid(pointer, f"the training {training} {state}: its models are there when it has succeeded")
    made = connection.execute(sa.select(models).where(models.c.id == found[0]["models"][member])).mappings().one()
    recent = sa.or_(models.c.deleted_at.is_(None), models.c.deleted_at > database.now() - _SAFE_SECONDS)
    kept = sa.select(models.c.id).where(models.c.reference == made["reference"], recent)
    if connection.execute(kept.limit(1)).first() is None:
        raise invalid(pointer, f"the models of the training {training} were deleted, and their files; train them anew")
    return made

"""Requests: what a schedule repeats, checked when it is given and again each time that it is due."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy import Connection, RowMapping

from alignment.errors import AccordError
from app.api.state import State
from app.comparisons import service as comparisons
from app.comparisons.schemas import NewComparison
from app.probes.service import prepare as prepare_probe
from app.problems import FieldError, Problem, problem_of
from app.scoring.schemas import Request
from app.storage.tables import schedules, teams
from app.studies import service as studies
from app.studies.schemas import NewStudy
from app.teams.principal import Principal


@dataclass(frozen=True)
class Kind:
    """Something that can be repeated.

    Attributes:
        schema: its request.
        create: checks a request and queues it; returns the job.
    """

    schema: type[Request]
    create: Callable[[State, Connection, Principal, Any], RowMapping]


KINDS: Mapping[str, Kind] = {
    "comparison": Kind(NewComparison, comparisons.create),
    "study": Kind(NewStudy, studies.create),
}


def submit(state: State, connection: Connection, schedule: RowMapping) -> RowMapping:
    """Queues what a schedule repeats, for its team; returns the job.

    Raises:
        Problem: if it cannot be met as things are now; nothing was changed.
    """
    kind = KINDS[schedule["kind"]]
    principal = _acting(connection, schedule)
    try:
        with connection.begin_nested():
            return kind.create(state, connection, principal, kind.schema.model_validate(schedule["request"]))
    except Problem as problem:
        raise _beneath(problem, schedule["kind"]) from problem
    except ValidationError as error:
        raise Problem(422, f"this version takes the request no more: {error.errors()[0]['msg']}") from error
    except AccordError as error:
        raise problem_of(error) from error


def prepare(state: State, schedule_id: str) -> None:
    """Has what a schedule names looked up once before its transaction: making a built-in probe set takes seconds.

    What is wrong with it is for the transaction to say.
    """
    with state.database.read() as connection:
        asked = sa.select(schedules.c.request).where(schedules.c.id == schedule_id)
        request = connection.execute(asked).scalar_one_or_none()
    if request is not None:
        prepare_probe(state, request["probe"])


def rehearse(state: State, connection: Connection, principal: Principal, kind: str, body: Request) -> dict[str, Any]:
    """Returns a request with every default filled in, having made every check that queueing it would make.

    It is queued, and that undone: so no check is forgotten, and none is written twice.

    Raises:
        Problem: if it cannot be met; the pointers begin with the kind's field.
    """
    attempt = connection.begin_nested()
    try:
        row = KINDS[kind].create(state, connection, principal, body)
        shown: dict[str, Any] = row["request"]
    except Problem as problem:
        raise _beneath(problem, kind) from problem
    finally:
        attempt.rollback()
    return shown


def _acting(connection: Connection, schedule: RowMapping) -> Principal:
    """Returns the team that a schedule is of, as who asks; the key that made it is noted."""
    name = connection.execute(sa.select(teams.c.name).where(teams.c.id == schedule["team_id"])).scalar_one()
    return Principal(schedule["team_id"], name, "runner", schedule["key_id"])


def _beneath(problem: Problem, field: str) -> Problem:
    errors = [FieldError(f"/{field}{error.pointer}", error.message) for error in problem.errors]
    return Problem(problem.status, problem.detail, errors=errors, headers=problem.headers)

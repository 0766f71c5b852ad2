"""Service: a training is checked against all that is known, and queued."""

from __future__ import annotations

import uuid
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, RowMapping
from starlette.concurrency import run_in_threadpool

from alignment.entropic.recipes import RECIPES, TrainingRequest
from alignment.entropic.rows import SUFFIXES
from alignment.errors import ProbeError
from app.api.jobs import find_job
from app.api.state import State
from app.jobs import NewJob
from app.jobs.results import result_of
from app.models.trained import KIND, made_by
from app.probes.reader import Reader
from app.probes.service import find as find_probe
from app.problems import Problem, invalid
from app.scoring import choices
from app.scoring.room import check_room, hold_room
from app.teams import audit
from app.teams.principal import Principal
from app.trainings.files import PROBE
from app.trainings.filling import WORK, fill
from app.trainings.recipes import BUILTIN, require
from app.trainings.schemas import NewTraining
from app.uploads.service import require_room
from app.webhooks.address import check_url

_MIB = 1 << 20
_MOST_BYTES = 256 * _MIB  # of a probe set's arrays, unpacked: they are read with some copies of them
_MODELS_BYTES = _MIB  # of a training's models, about; the items beside them are no more than the data's own arrays
_LIBRARIES = 512  # MiB that torch takes in the process that reads them


@dataclass(frozen=True)
class Plan:
    """A training that a recipe takes.

    Attributes:
        request: with every default filled in, as the recipe gets it.
        probe: the row of the probe set that it learns from, if it is one.
        keeps: bytes that it may come to keep, about.
    """

    request: TrainingRequest
    probe: RowMapping | None
    keeps: int


def find_data(state: State, principal: Principal, body: NewTraining) -> RowMapping | None:
    """Returns the row of the probe set that a training is to learn from; None for a data set of the recipe's.

    What is waited for, a name server, is waited for here, before there is a transaction.

    Raises:
        Problem: 422 that points at what cannot be met.
    """
    if body.webhook_url is not None:
        check_url(state.settings, body.webhook_url, "/webhook_url")
    require(body.recipe)
    if body.steps is not None and body.steps > state.settings.max_steps:
        raise invalid("/steps", f"steps is {body.steps}; at most {state.settings.max_steps} are taken")
    facts = RECIPES[body.recipe].facts
    if body.data is None:
        return None
    if body.data.startswith(BUILTIN):
        if body.data.removeprefix(BUILTIN) not in facts.data:
            raise invalid(
                "/data", f"the recipe {body.recipe} has no data set {body.data!r}; it has {_own(body.recipe)}"
            )
        return None
    try:
        with state.database.read() as connection:
            probe = find_probe(state, connection, principal, body.data, "/data")
    except Problem:
        if body.data in facts.data:  # as the command line calls it
            return None
        raise
    _check_probe(body, probe, state)
    return probe


def _check_probe(body: NewTraining, probe: RowMapping, state: State) -> None:
    own = _own(body.recipe)
    if not RECIPES[body.recipe].facts.rows:
        raise invalid("/data", f"the recipe {body.recipe} learns from data of its own alone: {own}")
    if probe["modality"] != "array":
        raise invalid(
            "/data",
            f"the probe set {probe['name']!r} holds {probe['modality']} items, and the recipe {body.recipe} learns "
            f"from vectors: an .npz with x (or a and b) and y or target; or one of {own}",
        )
    if not probe["reference"].endswith(SUFFIXES):
        raise invalid("/data", f"the probe set {probe['name']!r} is no .npz or .safetensors file; send it as one")
    most, size = state.settings.max_samples, _unpacked(Path(probe["reference"]))
    if probe["samples"] > most:
        raise invalid(
            "/data", f"the probe set {probe['name']!r} has {probe['samples']} items; at most {most} are taken"
        )
    if size > _MOST_BYTES:
        raise invalid(
            "/data",
            f"the probe set {probe['name']!r} has {size >> 20} MiB of arrays; at most {_MOST_BYTES >> 20} are learnt "
            "from: take fewer items, or project them",
        )


def _own(recipe: str) -> str:
    return ", ".join(f"{BUILTIN}{data}" for data in RECIPES[recipe].facts.data)


def _unpacked(path: Path) -> int:
    """Returns how many bytes a file's arrays have."""
    try:
        if path.suffix != ".npz":
            return path.stat().st_size
        with zipfile.ZipFile(path) as archive:
            return sum(member.file_size for member in archive.infolist())
    except (OSError, zipfile.BadZipFile) as error:
        raise invalid("/data", "its file cannot be read any more; register the probe set anew") from error


async def plan(reader: Reader, principal: Principal, body: NewTraining, probe: RowMapping | None) -> Plan:
    """Returns the training with the recipe's own defaults filled in; a process of its own reads a probe set for it.

    Raises:
        Problem: 422 that points at what the recipe cannot do, 503 if its data cannot be read now.
    """
    fields = body.model_dump(exclude={"priority", "webhook_url"})
    if probe is None:
        fields["data"] = None if body.data is None else body.data.removeprefix(BUILTIN)
        found: Mapping[str, Any] = await run_in_threadpool(fill, fields)
    else:
        payload = {"fields": {**fields, "data": probe["reference"]}, "name": probe["name"]}
        try:
            found = await reader.ask(principal.team, WORK, payload, beside=_LIBRARIES)
        except ProbeError as error:
            raise invalid("/data", str(error)) from error
    if "message" in found:
        raise invalid(f"/{found['field']}", found["message"])
    # A file is looked into here, before there is a transaction.
    data = 0 if probe is None else await run_in_threadpool(_unpacked, Path(probe["reference"]))
    return Plan(TrainingRequest(**found["request"]), probe, _MODELS_BYTES + data)


def create(state: State, connection: Connection, principal: Principal, body: NewTraining, plan: Plan) -> RowMapping:
    """Queues a training in the caller's transaction; returns its row. `find_data` has checked its webhook's address.

    Raises:
        Problem: 422 if its probe set has gone meanwhile, 413 if the team may keep nothing more, 429 if it has as many
            jobs as it may.
    """
    if plan.probe is not None:
        find_probe(state, connection, principal, plan.probe["id"], "/data")
    request = shown(body, plan)
    found = check_room(state, connection, principal.team)
    require_room(state, connection, principal, plan.keeps)
    row = state.ledger.submit(
        connection,
        NewJob(
            kind=KIND,
            team=principal.team,
            queue="score",
            request=request,
            payload={
                "training": plan.request.to_dict(),
                "probe": None if plan.probe is None else choices.items(plan.probe),
                "place": uuid.uuid4().hex,
                "key": principal.key,
                "keeps": plan.keeps,
                "request": request,
            },
            priority=body.priority,
            webhook_url=body.webhook_url,
        ),
    )
    audit.record(state.database, connection, principal, "training.create", row["id"])
    hold_room(state, connection, principal.team, found)
    return row


def shown(body: NewTraining, plan: Plan) -> dict[str, Any]:
    """Returns the request with every default filled in."""
    data = f"{BUILTIN}{plan.request.data}" if plan.probe is None else body.data
    filled = replace(plan.request, data=data).to_dict()
    return {**filled, "priority": body.priority, "webhook_url": body.webhook_url}


def probe_of(state: State, principal: Principal, training: str) -> bytes:
    """Returns the probe set, as `.npz`, that a training's models can be compared on.

    Raises:
        Problem: 404 if the team has no such training, it has none of its own, or its files are gone; 409 if it has not
            succeeded.
    """
    with state.database.read() as connection:
        find_job(connection, principal.team, KIND, training)
        found = result_of(connection, training)
        if found is None:
            raise Problem(409, f"the training {training} has not succeeded; it has items when it has")
        if found[0]["probe"] is not None:
            raise Problem(404, f"it has no items of its own; compare its models on {found[0]['probe']!r}")
        try:
            made = made_by(state.database, connection, principal, training, "a", "path/id")
        except Problem as error:
            raise Problem(404, error.detail) from error
    try:
        return (Path(made["reference"].removeprefix("path:")).parent / PROBE).read_bytes()
    except OSError as error:
        raise Problem(404, "its files are gone; train it anew") from error

"""Models: registered, found by name or id, filled in by the first job, deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping

from alignment.errors import RequestError
from alignment.models.builtin import builtin_model
from app.api.state import State
from app.models.reference import Known
from app.models.schemas import FeaturesModel, NewModel
from app.problems import invalid, not_found
from app.storage.tables import models
from app.teams.named import Named
from app.teams.principal import Principal
from app.uploads import service as uploads

MODELS = Named("model", "model", models)
_BUILTIN = "builtin:"


def register(state: State, connection: Connection, principal: Principal, new: NewModel, known: Known) -> RowMapping:
    """Registers a model; returns its row.

    Args:
        state: of the application.
        connection: the transaction.
        principal: who asks.
        new: what was asked for.
        known: what is known of it.

    Raises:
        Problem: 409 if the team has one of that name, 403 if it is to be shared and the key may not, 422 if its upload
            has gone meanwhile, 413 if the team may not keep its files again.
    """
    if isinstance(new.source, FeaturesModel):
        uploads.get(connection, principal, new.source.upload, "/source/upload", hold=True)
    if known.bytes and not _keeps(connection, principal.team, known.reference):
        uploads.require_room(state, connection, principal, known.bytes)
    values = {
        "name": new.name,
        "shared": new.shared,
        "source": known.source,
        "reference": known.reference,
        "modality": known.modality,
        "layers": known.layers,
        "poolings": known.poolings,
        "parameters": known.parameters,
        "fingerprint": known.fingerprint,
        "bytes": known.bytes,
    }
    return MODELS.enter(state.database, connection, principal, values)


def _keeps(connection: Connection, team: str, reference: str) -> bool:
    """Whether the files that a reference names count for a team already."""
    ours = (models.c.team_id == team, models.c.deleted_at.is_(None), models.c.reference == reference)
    return connection.execute(sa.select(models.c.id).where(*ours).limit(1)).first() is not None


def find(connection: Connection, principal: Principal, text: str, pointer: str | None = None) -> RowMapping:
    """Returns the row of the model that a request names: by its id, by its name, or `builtin:NAME`.

    A built-in model need not be registered: its row then is made for the occasion, and its id is `builtin:NAME`.

    Raises:
        Problem: if this team sees none: 422 at `pointer`, or 404 without one.
    """
    return find_all(connection, principal, [(text, pointer)])[text]


def find_all(
    connection: Connection, principal: Principal, named: Sequence[tuple[str, str | None]]
) -> dict[str, RowMapping]:
    """Returns the row of each of several models by what it is called; `named` has each text and its pointer.

    Raises:
        Problem: as `find`.
    """
    found = MODELS.find_all(connection, principal, [pair for pair in named if not pair[0].startswith(_BUILTIN)])
    for text, pointer in named:
        if text not in found:
            found[text] = _builtin(connection, principal, text, pointer)
    return found


def _builtin(connection: Connection, principal: Principal, text: str, pointer: str | None) -> RowMapping:
    try:
        builtin = builtin_model(text.removeprefix(_BUILTIN))
    except RequestError as error:
        raise (not_found("model", text) if pointer is None else invalid(pointer, str(error))) from error
    values = {
        "id": text,
        "name": text,
        "source": {"type": "builtin", "id": builtin.name},
        "reference": text,
        "modality": builtin.modality,
        "layers": [vars(layer) for layer in builtin.layers],
        "poolings": list(builtin.poolings),
    }
    return MODELS.unstored(connection, principal, values)


def fill(
    connection: Connection,
    model_id: str,
    *,
    modality: str | None,
    layers: Sequence[Mapping[str, Any]],
    parameters: int | None,
    fingerprint: str,
    poolings: Sequence[str] | None = None,
) -> None:
    """Keeps what a job found a model to be; of a hub model without a revision, what it is by now.

    Args:
        connection: the transaction that ends the job.
        model_id: the model; one that is not registered is left alone.
        modality: what it takes; None for activations.
        layers: all its layers, `{name, width}` each, from input to output.
        parameters: how many weights it has; None for activations.
        fingerprint: sha256 of its weights and preprocessing, or of the activations.
        poolings: how its positions may be pooled; None leaves what is known of that.
    """
    facts: dict[str, Any] = {
        "modality": modality,
        "layers": layers,
        "parameters": parameters,
        "fingerprint": fingerprint,
    }
    if poolings is not None:
        facts["poolings"] = poolings
    connection.execute(models.update().where(models.c.id == model_id).values(**facts))

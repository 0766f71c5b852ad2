"""Probe sets: registered, found by name or id, deleted."""

from __future__ import annotations

from contextlib import suppress

from sqlalchemy import Connection, RowMapping

from alignment.errors import RequestError
from alignment.probes import DatasetRef
from app.api.state import State
from app.probes.reading import BUILTIN, Facts
from app.probes.schemas import NewProbe
from app.problems import invalid, not_found
from app.storage.tables import probes
from app.teams.named import Named
from app.teams.principal import Principal

PROBES = Named("probe", "probe set", probes)


def register(state: State, connection: Connection, principal: Principal, new: NewProbe, facts: Facts) -> RowMapping:
    """Registers a probe set that has been read; returns its row.

    Args:
        state: of the application.
        connection: the transaction.
        principal: who asks.
        new: what was asked for.
        facts: what reading it found.

    Raises:
        Problem: 409 if the team has one of that name, 403 if it is to be shared and the key may not.
    """
    source = new.source.model_dump()
    if new.source.type == "huggingface":
        ref = DatasetRef.parse(facts.reference)
        source |= {"revision": ref.revision, "split": ref.split}
    values = {
        "name": new.name,
        "shared": new.shared,
        "source": source,
        "columns": {} if new.source.type == "builtin" else new.source.columns.named(),
        **vars(facts),
    }
    return PROBES.enter(state.database, connection, principal, values)


def prepare(state: State, text: str) -> None:
    """Has what `find` says of a built-in set found once, which takes seconds: call it before a transaction."""
    if text.startswith(BUILTIN):
        with suppress(RequestError):  # which `find` says at its place
            state.builtin(text.removeprefix(BUILTIN))


def find(
    state: State, connection: Connection, principal: Principal, text: str, pointer: str | None = None
) -> RowMapping:
    """Returns the row of the probe set that a request names: by its id, by its name, or `builtin:NAME`.

    A built-in set need not be registered: its row then is made for the occasion, and its id is `builtin:NAME`.

    Raises:
        Problem: if this team sees none: 422 at `pointer`, or 404 without one.
    """
    if not text.startswith(BUILTIN):
        return PROBES.find(connection, principal, text, pointer)
    name = text.removeprefix(BUILTIN)
    try:
        facts = state.builtin(name)
    except RequestError as error:
        raise (not_found("probe set", text) if pointer is None else invalid(pointer, str(error))) from error
    values = {
        "id": text,
        "name": text,
        "source": {"type": "builtin", "id": name},
        "reference": text,
        "columns": {},
        **facts,
    }
    return PROBES.unstored(connection, principal, values)

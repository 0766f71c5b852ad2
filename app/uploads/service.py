"""Uploads: files that a team has sent, kept until it deletes them."""

from __future__ import annotations

import shutil
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping

from app.api.state import State
from app.problems import Problem, invalid, not_found
from app.storage.tables import LIVE_SQL, jobs, models, probes, schedules, uploads
from app.teams import audit
from app.teams.principal import Principal
from app.teams.use import coming, lock, stored
from app.uploads.draft import Draft, over_quota
from app.uploads.files import COMING, uploads_folder

_MIB = 1 << 20
_STEP = 32 * _MIB  # bytes of room that are taken at a time


def reserve(state: State, principal: Principal, draft: Draft, expected: int | None) -> int:
    """Returns how many bytes of a file may be written: the team's room is taken before the disk's.

    Args:
        state: of the application.
        principal: whose team.
        draft: the file, which has come as far as its `size`.
        expected: how long it will be at most, if that is known.

    Raises:
        Problem: 413 if the team has no room for what has come already.
    """
    wished = draft.size + _STEP
    wished = wished if expected is None else max(draft.size, min(wished, expected))
    return state.database.transact(lambda connection: _reserve(state, connection, principal, draft, wished))


def release(state: State, draft: Draft) -> bool:
    """Gives the room of a file back that did not become an upload; returns whether that is so, and the file may go."""
    with state.database.write() as connection:
        connection.execute(uploads.delete().where(uploads.c.id == draft.id, uploads.c.sha256 == COMING))
        return connection.execute(sa.select(uploads.c.id).where(uploads.c.id == draft.id)).first() is None


def enter(state: State, connection: Connection, principal: Principal, draft: Draft) -> RowMapping:
    """Makes a file that was received an upload of the team; returns its row.

    Raises:
        Problem: 413 if the team has no room for it.
    """
    _reserve(state, connection, principal, draft, draft.size)
    values = {"sha256": draft.sha256, "created_at": state.database.now()}
    entered = uploads.update().where(uploads.c.id == draft.id).values(values).returning(*uploads.c)
    row = connection.execute(entered).mappings().one()
    audit.record(state.database, connection, principal, "upload.create", draft.id, {"filename": draft.filename})
    return row


def _reserve(state: State, connection: Connection, principal: Principal, draft: Draft, wished: int) -> int:
    ours = uploads.c.id == draft.id
    left = _left(state, connection, principal.team)
    left += connection.execute(sa.select(uploads.c.bytes).where(ours)).scalar_one_or_none() or 0
    if left < max(draft.size, 1):
        raise over_quota(state.settings.max_stored_mib)
    values = {
        "id": draft.id,
        "team_id": principal.team,
        "filename": draft.filename,
        "bytes": min(wished, left),
        "sha256": COMING,
        "created_at": state.database.now(),
    }
    entering = state.database.insert(uploads).values(values)
    changed = {"bytes": values["bytes"], "created_at": values["created_at"]}
    connection.execute(entering.on_conflict_do_update(index_elements=["id"], set_=changed))
    return min(wished, left)


def require_room(state: State, connection: Connection, principal: Principal, size: int) -> None:
    """Refuses what a team has no room to keep; nobody else takes the room until the transaction ends.

    Raises:
        Problem: 413.
    """
    if _left(state, connection, principal.team) < size:
        raise over_quota(state.settings.max_stored_mib)


def _left(state: State, connection: Connection, team: str) -> int:
    """Returns how many bytes more a team may keep, of which nobody else takes any until the transaction ends."""
    lock(connection, team)
    return state.settings.max_stored_mib * _MIB - stored(connection, team) - coming(connection, team)


def of_team(principal: Principal) -> sa.Select[Any]:
    """Returns the team's uploads; files that are still coming in are none."""
    return sa.select(uploads).where(uploads.c.team_id == principal.team, uploads.c.sha256 != COMING)


def get(
    connection: Connection, principal: Principal, upload_id: str, pointer: str | None = None, *, hold: bool = False
) -> RowMapping:
    """Returns the row of an upload of the team.

    Args:
        connection: where to ask.
        principal: whose team.
        upload_id: which.
        pointer: the field that names it, if one does.
        hold: whether nobody else is to delete or hold it until the transaction ends.

    Raises:
        Problem: if it has none of that id: 422 that points at the field that names it, or 404 without one.
    """
    row = None
    if "\0" not in upload_id:  # which PostgreSQL takes in no text
        asked = of_team(principal).where(uploads.c.id == upload_id)
        row = connection.execute(asked.with_for_update() if hold else asked).mappings().one_or_none()
    if row is not None:
        return row
    if pointer is None:
        raise not_found("upload", upload_id)
    raise invalid(pointer, f"this team has no upload {upload_id[:40]!r}; send the file with POST /v1/uploads")


def remove(state: State, principal: Principal, upload_id: str) -> None:
    """Deletes an upload and its file.

    Raises:
        Problem: 404 if the team has none of that id; 403 if another key sent it and this is no admin's; 409 while
            something needs it.
    """
    with state.database.write() as connection:
        row = get(connection, principal, upload_id, hold=True)
        audit.require_author(connection, principal, "upload", upload_id, "deleting an upload that another key sent")
        user = _user(connection, upload_id)
        if user is not None:
            raise Problem(409, f"the upload {upload_id} is needed by {user}; delete or cancel that first")
        connection.execute(uploads.delete().where(uploads.c.id == upload_id))
        audit.record(state.database, connection, principal, "upload.delete", upload_id, {"filename": row["filename"]})
    shutil.rmtree(uploads_folder(state.settings) / upload_id, ignore_errors=True)


def _user(connection: Connection, upload_id: str) -> str | None:
    """Returns what cannot do without an upload."""
    inside = f"%/{upload_id}/%"  # of a path: its folder's name
    for table, title in ((models, "the model"), (probes, "the probe set")):
        asked = sa.select(table.c.id).where(table.c.deleted_at.is_(None), table.c.reference.like(inside))
        found = connection.execute(asked.limit(1)).scalar_one_or_none()
        if found is not None:
            return f"{title} {found}"
    named = sa.cast(schedules.c.request, sa.Text).like(f'%"{upload_id}"%')  # a study's reference kernel
    found = connection.execute(sa.select(schedules.c.id).where(named).limit(1)).scalar_one_or_none()
    if found is not None:
        return f"the schedule {found}"
    asked = sa.select(jobs.c.id).where(sa.text(LIVE_SQL), sa.cast(jobs.c.payload, sa.Text).like(inside))
    found = connection.execute(asked.limit(1)).scalar_one_or_none()
    return None if found is None else "a job that has not ended"

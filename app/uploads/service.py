"""Uploads: files that a team has sent, kept until it deletes them."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping

from app.problems import invalid, not_found
from app.storage.tables import uploads
from app.teams.principal import Principal


def get(connection: Connection, principal: Principal, upload_id: str, pointer: str | None = None) -> RowMapping:
    """Returns the row of an upload of the team.

    Raises:
        Problem: if it has none of that id: 422 that points at the field that names it, or 404 without one.
    """
    row = None
    if "\0" not in upload_id:  # which PostgreSQL takes in no text
        asked = sa.select(uploads).where(uploads.c.id == upload_id, uploads.c.team_id == principal.team)
        row = connection.execute(asked).mappings().one_or_none()
    if row is not None:
        return row
    if pointer is None:
        raise not_found("upload", upload_id)
    raise invalid(pointer, f"this team has no upload {upload_id[:40]!r}; send the file with POST /v1/uploads")

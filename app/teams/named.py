"""Named: a table of things that a team registers under a name of its own, and may share with every team."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping

from alignment.errors import NEAR
from app.problems import Problem, invalid, not_found
from app.storage import Database, new_id
from app.storage.tables import teams
from app.teams import audit
from app.teams.principal import Principal, require_admin

_MOST_NAMES = 1000  # looked at to guess what a name that is not there was meant to be
_LONGEST = 200


@dataclass(frozen=True)
class Named:
    """Models, or probe sets.

    Attributes:
        kind: what one is called in ids and audit notes (`model`).
        title: what one is called in sentences.
        table: where they are.
    """

    kind: str
    title: str
    table: sa.Table

    def visible(self, principal: Principal) -> sa.Select[Any]:
        """Returns the rows that a team sees, each with its own team's name as `team`."""
        return self._visible(sa.literal(principal.team))

    def _visible(self, team: sa.ColumnElement[str]) -> sa.Select[Any]:
        columns = self.table.c
        asked = sa.select(*columns, teams.c.name.label("team")).join(teams, teams.c.id == columns.team_id)
        return asked.where(columns.deleted_at.is_(None), sa.or_(columns.team_id == team, columns.shared.is_(True)))

    def get(self, connection: Connection, principal: Principal, row_id: str) -> RowMapping:
        """Returns the row of an id.

        Raises:
            Problem: 404 if this team sees none of that id.
        """
        row = None
        if _is_possible(row_id):
            asked = self.visible(principal).where(self.table.c.id == row_id)
            row = connection.execute(asked).mappings().one_or_none()
        if row is None:
            raise not_found(self.title, row_id)
        return row

    def find(self, connection: Connection, principal: Principal, text: str, pointer: str | None) -> RowMapping:
        """Returns the row of an id or a name: the team's own first, then the oldest that another team shares.

        Raises:
            Problem: if there is none: 422 that points at the field that names it, or 404 without one.
        """
        return self.find_all(connection, principal, [(text, pointer)])[text]

    def find_all(
        self, connection: Connection, principal: Principal, named: Sequence[tuple[str, str | None]]
    ) -> dict[str, RowMapping]:
        """Returns the rows of ids or names, each by what it was called, in one look.

        Args:
            connection: where to look.
            principal: who asks.
            named: each text, and the field that names it.

        Raises:
            Problem: as `find`, for the first that there is none of.
        """
        possible = sorted({text for text, _ in named if _is_possible(text)})
        asked = {"team": principal.team, "texts": possible}
        rows = connection.execute(self._called, asked).mappings().all() if possible else ()
        found: dict[str, RowMapping] = {}
        for text, pointer in named:
            of_that = [row for row in rows if text in (row["id"], row["name"])]
            if of_that:
                found[text] = min(of_that, key=lambda row, text=text: _order(row, text, principal.team))  # type: ignore[misc]
            elif pointer is None:
                raise not_found(self.title, text)
            else:
                hint = self._hint(connection, principal, text)
                raise invalid(pointer, f"there is no {self.title} {text[:_LONGEST]!r} that this team can see; {hint}")
        return found

    @cached_property
    def _called(self) -> sa.Select[Any]:
        """What a `team` sees that is called one of `texts`."""
        columns = self.table.c
        texts: sa.BindParameter[Any] = sa.bindparam("texts", expanding=True)
        return self._visible(sa.bindparam("team")).where(sa.or_(columns.id.in_(texts), columns.name.in_(texts)))

    def _hint(self, connection: Connection, principal: Principal, text: str) -> str:
        names = self.visible(principal).with_only_columns(self.table.c.name).limit(_MOST_NAMES)
        known = connection.execute(names).scalars().all()
        close = difflib.get_close_matches(text[:_LONGEST], known, n=1, cutoff=NEAR)
        return (
            f"did you mean {close[0]!r}?" if close else f"register it with POST /v1/{self.kind}s, or list them with GET"
        )

    def enter(
        self, database: Database, connection: Connection, principal: Principal, values: Mapping[str, Any]
    ) -> RowMapping:
        """Makes a row of the team's, and notes who did.

        Raises:
            Problem: 403 if it is to be shared and the key may not, 409 if the team has one of that name.
        """
        if values["shared"]:
            require_admin(principal, f"sharing a {self.title} with every team")
        row = {"id": new_id(self.kind), "team_id": principal.team, "created_at": database.now(), **values}
        # The index of names decides, so that of two at once one gets it.
        entered = connection.execute(
            database.insert(self.table).values(row).on_conflict_do_nothing().returning(self.table.c.id)
        ).scalar_one_or_none()
        if entered is None:
            raise Problem(
                409, f"the team has a {self.title} named {values['name']!r}; choose another name, or delete that one"
            )
        audit.record(database, connection, principal, f"{self.kind}.create", entered, {"name": values["name"]})
        return self.get(connection, principal, entered)

    def remove(self, database: Database, connection: Connection, principal: Principal, row_id: str) -> None:
        """Takes a row out of sight: it can be named no more, and jobs that were asked for keep what they know of it.

        Raises:
            Problem: 404 if the team sees none of that id; 403 if it is another team's, or somebody else registered it
                and the key is no admin's.
        """
        row = self.get(connection, principal, row_id)
        if row["team_id"] != principal.team:
            raise Problem(403, f"this {self.title} is another team's, which shares it; only that team can delete it")
        if row["shared"]:
            require_admin(principal, f"deleting a {self.title} that every team uses")
        else:
            what = f"deleting a {self.title} that another key registered"
            audit.require_author(connection, principal, self.kind, row_id, what)
        connection.execute(
            self.table.update()
            .where(self.table.c.id == row_id, self.table.c.deleted_at.is_(None))
            .values(deleted_at=database.now())
        )
        audit.record(database, connection, principal, f"{self.kind}.delete", row_id, {"name": row["name"]})

    def unstored(self, connection: Connection, principal: Principal, values: Mapping[str, Any]) -> RowMapping:
        """Returns a row of what is there without being registered: a built-in, its name for an id."""
        known = {"team_id": principal.team, "shared": False, "created_at": 0.0, **values}
        cells: list[sa.ColumnElement[Any]] = [sa.literal(principal.team_name).label("team")]
        for column in self.table.columns:
            value = known.get(column.name)
            cells.append((sa.null() if value is None else sa.literal(value, column.type)).label(column.name))
        return connection.execute(sa.select(*cells)).mappings().one()


def _order(row: RowMapping, text: str, team: str) -> tuple[int, str]:
    """Returns what comes first of several that are called one thing: an id, the team's own, the oldest."""
    return (0 if row["id"] == text else 1 if row["team_id"] == team else 2), row["id"]


def _is_possible(text: str) -> bool:
    return len(text) <= _LONGEST and "\0" not in text  # which PostgreSQL takes in no text

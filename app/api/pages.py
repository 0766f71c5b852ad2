"""Pages of lists, newest first, by key and not by number: what is made meanwhile moves nothing."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Generic, TypeVar

import sqlalchemy as sa
from fastapi import Query
from pydantic import BaseModel, Field
from sqlalchemy import Connection, RowMapping

from app.problems import invalid

T = TypeVar("T")
Limit = Annotated[int, Query(ge=1, le=200, description="how many items at most", examples=[50])]
Cursor = Annotated[
    str | None, Query(max_length=200, description="`next_cursor` of the page before", examples=["Y21wXzAxajhrYQ"])
]


class Page(BaseModel, Generic[T]):
    """One page of a list."""

    items: list[T] = Field(description="the items, newest first")
    next_cursor: str | None = Field(
        None, description="what to give as `cursor` for the next page; null on the last", examples=["Y21wXzAxajhrYQ"]
    )


def only(query: sa.Select[Any], wanted: Mapping[sa.Column[Any], object]) -> sa.Select[Any]:
    """Returns a query for the rows that have in each column what is wanted there; None wants nothing."""
    return query.where(*(column == value for column, value in wanted.items() if value is not None))


def page(
    connection: Connection,
    query: sa.Select[Any],
    key: sa.Column[str],
    limit: int,
    cursor: str | None,
    show: Callable[[RowMapping], T],
) -> Page[T]:
    """Returns a page of what a query selects.

    Args:
        connection: where to ask.
        query: the rows, without an order.
        key: the column of ids that they are ordered by.
        limit: how many.
        cursor: the page before's `next_cursor`.
        show: makes an item of a row.

    Raises:
        Problem: 422 if the cursor is none of ours.
    """
    if cursor is not None:
        query = query.where(key < _read(cursor))
    rows = connection.execute(query.order_by(key.desc()).limit(limit + 1)).mappings().all()
    following = _write(rows[limit - 1][key.name]) if len(rows) > limit else None
    return Page(items=[show(row) for row in rows[:limit]], next_cursor=following)


def part(items: Sequence[T], names: Sequence[str], limit: int, cursor: str | None) -> Page[T]:
    """Returns a page of what is no table but a list of this release's, in its own order.

    Args:
        items: all of it.
        names: the items' names, by which a cursor knows its place.
        limit: how many.
        cursor: the page before's `next_cursor`.

    Raises:
        Problem: 422 if the cursor is none of ours.
    """
    start = 0
    if cursor is not None:
        last = _read(cursor)
        start = names.index(last) + 1 if last in names else len(names)
    end = start + limit
    return Page(items=list(items[start:end]), next_cursor=_write(names[end - 1]) if end < len(names) else None)


def _write(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def _read(cursor: str) -> str:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        if not text.isprintable() or _write(text) != cursor:
            raise ValueError(cursor)
    except (binascii.Error, ValueError):
        raise invalid("query/cursor", "cursor is none of ours; leave it out, or take `next_cursor` of a page") from None
    return text

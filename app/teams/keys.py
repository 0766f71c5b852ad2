"""Keys: made, shown once, known again by a salted hash, revoked at once.

A key is `accord_ID_SECRET`. The secret has 256 random bits, so one salted SHA-256 is as good as a slow hash: there is
no guessable password behind it, and each request pays for it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping

from alignment.errors import RequestError
from app.storage import Database, new_id
from app.storage.tables import audit, keys, teams

DEFAULT_TEAM = "default"
_MARK = "accord"
_ID_LENGTH = 26
_VALID = (
    sa.select(keys.c.salt, keys.c.hash, keys.c.role, keys.c.team_id, teams.c.name)
    .join(teams, teams.c.id == keys.c.team_id)
    .where(keys.c.id == sa.bindparam("key"), keys.c.revoked_at.is_(None))
)
_LOCAL = sa.select(teams.c.id).where(teams.c.name == DEFAULT_TEAM, ~sa.exists().select_from(keys))


@dataclass(frozen=True)
class Known:
    """Whose key it is."""

    key: str | None
    team: str
    team_name: str
    role: Literal["reader", "runner", "admin"]


def generate() -> str:
    """Returns a new key, known to nobody yet."""
    return f"{_MARK}_{new_id('key').partition('_')[2]}_{secrets.token_urlsafe(32)}"


def create(database: Database, team: str, role: str, *, key: str | None = None) -> tuple[str, str]:
    """Makes a key, and its team if there is none of that name; returns the key's id and the key, which is kept nowhere.

    Args:
        database: where.
        team: the team's name.
        role: `reader`, `runner` or `admin`.
        key: one that was made by `generate`, to be known from now on; entering it twice changes nothing.

    Raises:
        RequestError: if the key or the names cannot be.
    """
    if role not in ("reader", "runner", "admin"):
        raise RequestError(f"there is no role {role!r}; take reader, runner or admin")
    if not team.strip() or len(team) > 100:
        raise RequestError("a team's name has 1 to 100 characters")
    made = key or generate()
    parts = _parse(made)
    if parts is None:
        raise RequestError("that is no key of Accord; make one with `accord keys generate`")
    key_id, secret = parts
    salt = secrets.token_hex(16)
    with database.write() as connection:
        team_id = ensure_team(database, connection, team)
        row = {
            "id": key_id,
            "team_id": team_id,
            "role": role,
            "salt": salt,
            "hash": _hash(salt, secret),
            "created_at": database.now(),
        }
        entered = connection.execute(
            database.insert(keys).values(row).on_conflict_do_nothing().returning(keys.c.id)
        ).first()
        if entered is not None:
            _note(database, connection, "key.create", key_id, team_id)
        elif not _is_right(connection.execute(sa.select(keys).where(keys.c.id == key_id)).mappings().one(), secret):
            raise RequestError(f"{key_id} is the id of another key; make a new one with `accord keys generate`")
    return key_id, made


def revoke(database: Database, key_id: str) -> None:
    """Makes a key worth nothing from the next request on.

    Raises:
        RequestError: if there is no such key.
    """
    with database.write() as connection:
        found = connection.execute(
            keys.update()
            .where(keys.c.id == key_id)
            .values(revoked_at=sa.func.coalesce(keys.c.revoked_at, database.now()))
            .returning(keys.c.team_id)
        ).scalar_one_or_none()
        if found is None:
            raise RequestError(f"there is no key {key_id!r}; see `accord keys list`")
        _note(database, connection, "key.revoke", key_id, found)


def listed(connection: Connection) -> Sequence[RowMapping]:
    """Returns every key with its team's name, without anything secret."""
    asked = sa.select(keys.c.id, teams.c.name.label("team"), keys.c.role, keys.c.created_at, keys.c.revoked_at).join(
        teams, teams.c.id == keys.c.team_id
    )
    return connection.execute(asked.order_by(keys.c.id)).mappings().all()


def authenticate(connection: Connection, key: str | None) -> Known | None:
    """Returns whose key it is; None if it is nobody's, or was revoked."""
    parts = _parse(key or "")
    if parts is None:
        return None
    key_id, secret = parts
    row = connection.execute(_VALID, {"key": key_id}).mappings().one_or_none()
    if row is None or not _is_right(row, secret):
        return None
    return Known(key_id, row["team_id"], row["name"], row["role"])


def was_revoked(connection: Connection, key: str) -> bool:
    """Whether it is a key that was revoked. Only who holds the whole of it learns so, to whom it says nothing new."""
    parts = _parse(key)
    if parts is None:
        return False
    asked = sa.select(keys.c.salt, keys.c.hash).where(keys.c.id == parts[0], keys.c.revoked_at.is_not(None))
    row = connection.execute(asked).mappings().one_or_none()
    return row is not None and _is_right(row, parts[1])


def any_key(connection: Connection) -> bool:
    """Whether a key was ever made: from then on one is needed, even if all were revoked."""
    return connection.execute(sa.select(keys.c.id).limit(1)).first() is not None


def local_team(connection: Connection) -> str | None:
    """Returns the id of the team of whoever asks from loopback while no key exists; None once there is one."""
    found: str | None = connection.execute(_LOCAL).scalar_one_or_none()
    return found


def ensure_team(database: Database, connection: Connection, name: str) -> str:
    """Returns the id of the team of that name, made if there is none."""
    connection.execute(
        database.insert(teams)
        .values(id=new_id("team"), name=name, created_at=database.now())
        .on_conflict_do_nothing(index_elements=["name"])
    )
    return str(connection.execute(sa.select(teams.c.id).where(teams.c.name == name)).scalar_one())


def _parse(key: str) -> tuple[str, str] | None:
    mark, _, rest = key.partition("_")
    key_id, _, secret = rest.partition("_")
    whole = mark == _MARK and len(key_id) == _ID_LENGTH and len(secret) >= 32 and key.isascii()
    return (f"key_{key_id}", secret) if whole else None


def _is_right(row: RowMapping, secret: str) -> bool:
    return hmac.compare_digest(row["hash"], _hash(row["salt"], secret))


def _hash(salt: str, secret: str) -> str:
    return hashlib.sha256(f"{salt}:{secret}".encode()).hexdigest()


def _note(database: Database, connection: Connection, action: str, key_id: str, team: str) -> None:
    """Notes what the command line did to a key, which is nobody's key."""
    connection.execute(
        audit.insert().values(
            id=new_id("audit"), at=database.now(), team_id=team, action=action, resource=key_id, detail=None
        )
    )

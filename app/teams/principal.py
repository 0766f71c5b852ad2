"""Principal: who a request comes from. Each endpoint asks for the role that it takes: Reader, Runner or Admin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import Depends, Request

Role = Literal["reader", "runner", "admin"]
ROLES: tuple[Role, ...] = ("reader", "runner", "admin")  # each may do what those before it may


@dataclass(frozen=True)
class Principal:
    """Who asks.

    Attributes:
        team: the team's id.
        team_name: its name.
        role: what the key may do.
        key: the key's id; None from loopback while no key exists.
    """

    team: str
    team_name: str
    role: Role
    key: str | None


def _asks(role: Role) -> object:
    def principal(request: Request) -> Principal:
        # TODO(teams): authenticate; 401 without a good key, 403 for a role below `role`.
        return Principal("tea_local", "default", "admin", None)

    return Depends(principal)


Reader = Annotated[Principal, _asks("reader")]
Runner = Annotated[Principal, _asks("runner")]
Admin = Annotated[Principal, _asks("admin")]

"""Principal: who a request comes from. Each endpoint asks for the role that it takes: Reader, Runner or Admin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import urlsplit

import structlog
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.concurrency import run_in_threadpool

from app.api.state import AppState, State
from app.problems import Problem
from app.teams import keys
from app.teams.rate import RateLimiter

Role = Literal["reader", "runner", "admin"]
ROLES: tuple[Role, ...] = ("reader", "runner", "admin")  # each may do what those before it may
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
_LOOPBACK = ("127.0.0.1", "::1", "::ffff:127.0.0.1")
_BEARER = HTTPBearer(
    auto_error=False, description="A key of a team, from `accord keys create`; not needed while no key exists."
)


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
    # Not in a thread of its own: what it binds to the request's log lines must outlive it.
    async def principal(
        request: Request,
        state: AppState,
        given: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
    ) -> Principal:
        found = await run_in_threadpool(_known, request, state, given)
        structlog.contextvars.bind_contextvars(team=found.team_name, key=found.key)
        limiter: RateLimiter = request.app.state.rate
        limiter.spend(found.key or "loopback")
        if ROLES.index(found.role) < ROLES.index(role):
            raise _forbidden("this", role, found.role)
        return Principal(found.team, found.team_name, found.role, found.key)

    return Depends(principal)


def _known(request: Request, state: State, given: HTTPAuthorizationCredentials | None) -> keys.Known:
    with state.database.read() as connection:
        found = None if given is None else keys.authenticate(connection, given.credentials)
        if given is None and _is_local(request):
            team = keys.local_team(connection)
            found = None if team is None else keys.Known(None, team, keys.DEFAULT_TEAM, "admin")
        revoked = found is None and given is not None and keys.was_revoked(connection, given.credentials)
    if found is not None:
        return found
    if revoked:
        why = "this key was revoked; ask your operator for another (`accord keys create`)"
    elif given is not None:
        why = (
            "this service knows no such key; send the whole of it, or ask your operator for one (`accord keys create`)"
        )
    else:
        why = (
            "a key is needed: send it as `Authorization: Bearer KEY`, or ask your operator for one "
            "(`accord keys create`)"
        )
    raise Problem(401, why, headers={"WWW-Authenticate": "Bearer"})


def require_admin(principal: Principal, what: str) -> None:
    """Checks that a key may do what only some requests to an endpoint ask for.

    Raises:
        Problem: 403 if it may not.
    """
    if principal.role != "admin":
        raise _forbidden(what, "admin", principal.role)


def _forbidden(what: str, needed: Role, has: Role) -> Problem:
    return Problem(403, f"{what} takes the role {needed}, and the key has {has}; ask for another key")


def _is_local(request: Request) -> bool:
    # The name too: a page elsewhere whose name was made to point at loopback must not reach a service without keys.
    host = request.url.hostname or ""
    if request.client is None or request.client.host not in _LOOPBACK or host not in (*_LOOPBACK, "localhost"):
        return False
    # A proxy on this machine speaks for others, whatever it calls us.
    if any(name in request.headers for name in _FORWARDED):
        return False
    # Nor may any page that is open in a browser here: a form of it can be sent to us, and a browser says whose it is.
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


Reader = Annotated[Principal, _asks("reader")]
Runner = Annotated[Principal, _asks("runner")]
Admin = Annotated[Principal, _asks("admin")]

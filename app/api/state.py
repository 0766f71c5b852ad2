"""State: what the application holds while it runs, handed to the endpoints that ask for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, cast

from fastapi import Depends, Request

from app.jobs import Ledger
from app.settings import Settings
from app.storage import Database


@dataclass(frozen=True)
class State:
    """The application's parts.

    Attributes:
        settings: what the operator set.
        database: the database.
        ledger: the jobs.
        builtin: what a built-in probe set is, by its name, as the table of probe sets has it; the first time it may
            take seconds, so that no transaction should ask first.
    """

    settings: Settings
    database: Database
    ledger: Ledger
    builtin: Callable[[str], Mapping[str, Any]]


async def state_of(request: Request) -> State:  # not for its waiting: what is no coroutine is given a thread
    """Returns the state of the application that a request came to."""
    return cast(State, request.app.state.accord)


AppState = Annotated[State, Depends(state_of)]

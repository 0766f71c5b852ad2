"""State: what the application holds while it runs, handed to the endpoints that ask for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

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
    """

    settings: Settings
    database: Database
    ledger: Ledger


async def state_of(request: Request) -> State:  # not for its waiting: what is no coroutine is given a thread
    """Returns the state of the application that a request came to."""
    return cast(State, request.app.state.accord)


AppState = Annotated[State, Depends(state_of)]

"""Main: the HTTP application, put together from its parts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import metadata

import structlog
from fastapi import FastAPI

from app.api import errors, system
from app.api.figures import Requests
from app.api.middleware import install
from app.api.state import State
from app.jobs import Engine, Ledger
from app.kinds import handlers
from app.settings import Settings
from app.storage import Database
from app.teams import keys
from app.teams.rate import RateLimiter

_LOG = structlog.get_logger("accord.api")
_DESCRIPTION = """Measures how alike two neural networks represent the world.

Register two models and a probe set, post a comparison, follow its progress, read the layer-by-layer scores, each held
against chance. Errors are RFC 9457 problem documents; lists are paged by cursor; a POST with an `Idempotency-Key` can
be sent again."""


def create_app(settings: Settings, database: Database) -> FastAPI:
    """Returns the application over a migrated database.

    Args:
        settings: what the operator set.
        database: the database; the caller closes it.
    """
    state = State(settings, database, Ledger(database, Engine(database), handlers()))

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        with database.write() as connection:
            keys.ensure_team(database, connection, keys.DEFAULT_TEAM)
        _LOG.info("api ready")
        yield
        app.state.closing = True  # streams of events end, so that the server can
        state.ledger.engine.close()

    app = FastAPI(
        title="Accord",
        version=metadata.version("accord"),
        description=_DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        lifespan=life,
        docs_url="/docs",
        redoc_url=None,
        responses=errors.RESPONSES,
    )
    app.state.accord = state
    app.state.rate = RateLimiter(settings.rate_limit)
    app.state.requests = Requests()
    app.state.closing = False
    errors.install(app)
    install(app, settings)
    for router in (system.router,):
        app.include_router(router)
    return app

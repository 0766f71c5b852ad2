"""Main: the HTTP application, put together from its parts."""

from __future__ import annotations

import gc
import ipaddress
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import metadata
from types import FrameType
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI

from alignment.errors import RequestError, WorkError
from app.api import errors, examples, system
from app.api.figures import Requests
from app.api.middleware import install
from app.api.state import State
from app.api.streams import Streams
from app.comparisons import router as comparisons
from app.jobs import Engine, Ledger
from app.jobs.executor import Executor, LocalExecutor
from app.kinds import handlers
from app.models import router as models
from app.probes import router as probes
from app.probes.builtins import BuiltinFacts
from app.probes.reader import PRELOAD, Reader
from app.schedules import router as schedules
from app.scoring import catalogue
from app.settings import Settings, read_secret
from app.storage import Database
from app.studies import router as studies
from app.teams import keys
from app.teams import router as teams
from app.teams.rate import RateLimiter
from app.trainings import router as trainings
from app.uploads import router as uploads
from app.web import docs, page
from app.webhooks import router as webhooks

_LOG = structlog.get_logger("accord.api")
_DESCRIPTION = """Measures how alike two neural networks represent the world.

Register two models and a probe set, post a comparison, follow its progress, read the layer-by-layer scores, each held
against chance. Errors are RFC 9457 problem documents; lists are paged by cursor; a POST with an `Idempotency-Key` can
be sent again."""


class _Api(FastAPI):
    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._making = threading.Lock()

    def openapi(self) -> dict[str, Any]:
        """Returns the OpenAPI document, made once, with an example of every field."""
        with self._making:
            if self.openapi_schema is None:
                examples.fill(super().openapi())
            return super().openapi()


def create_app(settings: Settings, database: Database, executor: Executor | None = None) -> FastAPI:
    """Returns the application over a migrated database.

    Args:
        settings: what the operator set.
        database: the database; the caller closes it.
        executor: where probe sets are read; unset is in processes of this machine.
    """
    reader = Reader(settings, executor or LocalExecutor(PRELOAD))
    state = State(settings, database, Ledger(database, Engine(database), handlers()), BuiltinFacts(reader).of)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        with database.write() as connection:
            keys.ensure_team(database, connection, keys.DEFAULT_TEAM)
        _LOG.info("api ready")
        yield
        app.state.closing = True  # streams of events end, so that the server can
        reader.close()
        state.ledger.engine.close()

    app = _Api(
        title="Accord",
        version=metadata.version("accord"),
        description=_DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        lifespan=life,
        openapi_url=None,  # `web.docs` serves it in a thread: while it is made, half a second, the loop goes on
        docs_url=None,  # `web.docs` serves it: FastAPI's own page loads its script from elsewhere
        redoc_url=None,
        responses=errors.RESPONSES,
    )
    app.state.accord = state
    app.state.rate = RateLimiter(settings.rate_limit)
    app.state.streams = Streams(settings.max_streams)
    app.state.requests = Requests()
    app.state.closing = False
    app.state.reader = reader
    errors.install(app)
    install(app, settings)
    for router in (
        system.router,
        models.router,
        probes.router,
        uploads.router,
        teams.router,
        catalogue.router,
        comparisons.router,
        studies.router,
        trainings.router,
        schedules.router,
        webhooks.router,
        page.router,
        docs.router,
        docs.described,
    ):
        app.include_router(router)
    return app


class Server:
    """The API, listening. While no key exists it listens on loopback alone."""

    def __init__(self, settings: Settings, database: Database) -> None:
        """Binds the address.

        Raises:
            RequestError: if the address is not loopback and there is no key, or it cannot be bound.
        """
        self._settings = settings
        if settings.bootstrap_key_file is not None:
            key = read_secret(settings.bootstrap_key_file, "ACCORD_BOOTSTRAP_KEY_FILE")
            keys.create(database, keys.DEFAULT_TEAM, "admin", key=key)
        with database.read() as connection:
            if not keys.any_key(connection) and not is_loopback(settings.host):
                raise RequestError(
                    f"{settings.host} is not loopback, and no key exists; make one with `accord keys create`, or bind "
                    "127.0.0.1"
                )
        self._socket = _bind(settings.host, settings.port)
        self.app = create_app(settings, database)

    def run(self, announce: Callable[[str], object]) -> None:
        """Answers until SIGTERM or Ctrl-C; then finishes what is under way, within the grace.

        Args:
            announce: told the address once, when it is bound.
        """
        # uvicorn raises the signal again when it is done: what runs around it must still end in order.
        signal.signal(signal.SIGTERM, lambda number, frame: None)
        host, port = self._socket.getsockname()[:2]
        announce(f"Accord listens on http://{f'[{host}]' if ':' in host else host}:{port}")
        config = uvicorn.Config(
            self.app,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=max(1, int(self._settings.grace_seconds)),
            server_header=False,
            # Who asks decides what may be done without a key: a header that anyone can send must not say it.
            proxy_headers=False,
        )
        # What is loaded by now stays. Looked through again each time that old garbage is collected, it would stop every
        # request for a quarter of a second.
        gc.collect()
        gc.freeze()
        _Uvicorn(config).run(sockets=[self._socket])


class _Uvicorn(uvicorn.Server):
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.config.app.state.closing = True  # type: ignore[union-attr]  # streams of events end now, not at the end
        super().handle_exit(sig, frame)


def is_loopback(host: str) -> bool:
    """Whether an address reaches this machine alone.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("0.0.0.0"), is_loopback("localhost")
    (True, True, False, True)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _bind(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        made = socket.socket(family)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(2048)  # from here on who connects is kept waiting, not refused
    except OSError as error:
        raise WorkError(
            f"cannot listen on {host} port {port} ({error.strerror}); choose another with --port"
        ) from error
    return made

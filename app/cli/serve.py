"""`accord serve`, `api`, `worker` and `migrate`: the service, whole or in parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from app.settings import Settings

if TYPE_CHECKING:
    from app.storage import Database

Host = Annotated[str | None, typer.Option(metavar="ADDRESS", help="The address to bind.  [default: ACCORD_HOST]")]
Port = Annotated[
    int | None,
    typer.Option(metavar="PORT", min=0, max=65535, help="The port; 0 for a free one.  [default: ACCORD_PORT]"),
]
_WAIT = 60.0  # seconds for a database that is still starting


def register(cli: typer.Typer) -> None:
    """Adds the commands."""
    for command in (serve, api, worker, migrate):
        cli.command()(command)


def serve(
    host: Host = None,
    port: Port = None,
    workers: Annotated[int, typer.Option(metavar="N", min=1, help="How many worker processes.")] = 1,
) -> None:
    """Run the whole service on this machine: API, page and workers."""
    from app.main import Server
    from app.stack import Workers

    settings = _settings(host, port)
    database = migrated(settings)
    server = Server(settings, database)
    with Workers(workers, settings.grace_seconds):
        server.run(announce=typer.echo)


def api(host: Host = None, port: Port = None) -> None:
    """Run the API alone, over a database that is migrated."""
    from app.main import Server
    from app.storage import Database

    settings = _settings(host, port)
    database = Database(settings.database)
    database.wait(_WAIT)
    Server(settings, database).run(announce=typer.echo)


def worker(
    tied: Annotated[
        int | None, typer.Option(hidden=True, help="Stop when the process of this id, which started it, ends.")
    ] = None,
) -> None:
    """Run one worker alone; when stopped it gives back its jobs."""
    if tied is not None:
        from app.stack import stop_with_parent

        stop_with_parent(tied)
    from app.kinds import chores, handlers
    from app.storage import Database
    from app.worker import Worker

    settings = _settings(None, None)
    database = Database(settings.database)
    Worker(settings, database, handlers(), chores(settings, database)).run()


def migrate() -> None:
    """Bring the database's tables to this version."""
    migrated(_settings(None, None))
    typer.echo("the database is of this version")


def _settings(host: str | None, port: int | None) -> Settings:
    from app.telemetry import configure

    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = Settings.load().model_copy(update=given)
    configure(settings.log_format, settings.log_level)
    return settings


def migrated(settings: Settings) -> Database:
    """Returns the database of the settings, waited for and brought to this version."""
    from app.jobs import Engine
    from app.storage import Database

    database = Database(settings.database)
    database.wait(_WAIT, ready=database.answers)
    Engine.migrate(database)
    database.migrate()
    return database

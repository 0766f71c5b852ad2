"""`accord keys`: who may ask. It works on the database itself, so it is for whoever operates the service."""

from __future__ import annotations

import json as json_format
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli import arguments as arg
from app.settings import Settings

if TYPE_CHECKING:
    from app.storage import Database

cli = typer.Typer(help="Make, list and revoke the keys of teams.", no_args_is_help=True)


def register(parent: typer.Typer) -> None:
    """Adds the group."""
    parent.add_typer(cli, name="keys")


@cli.command()
def create(
    team: Annotated[str, typer.Option(metavar="T", help="The team; made if there is none of that name.")],
    role: Annotated[
        str, typer.Option(metavar="R", help="reader (looks), runner (works) or admin (shares, sees the audit).")
    ],
    json: arg.Json = False,
) -> None:
    """Make a key, and print it: this is the only time that it is shown."""
    from app.teams import keys

    database = _database()
    key_id, key = keys.create(database, team, role)
    if json:
        typer.echo(json_format.dumps({"id": key_id, "team": team, "role": role, "key": key}))
        return
    typer.echo(key)
    typer.echo(f"{key_id}: {role} of {team}. Keep it: it is not shown again.", err=True)


@cli.command()
def generate() -> None:
    """Print a new key that no service knows yet, for ACCORD_BOOTSTRAP_KEY_FILE."""
    from app.teams import keys

    typer.echo(keys.generate())


@cli.command(name="list")
def list_keys(json: arg.Json = False) -> None:
    """List the keys, without their secrets."""
    from app.teams import keys

    with _database().read() as connection:
        rows = [dict(row) for row in keys.listed(connection)]
    for row in rows:
        for name in ("created_at", "revoked_at"):
            row[name] = row[name] and datetime.fromtimestamp(row[name], UTC).isoformat(timespec="seconds")
    if json:
        typer.echo(json_format.dumps(rows, indent=2))
        return
    for row in rows:
        state = f"revoked {row['revoked_at']}" if row["revoked_at"] else "good"
        typer.echo(f"{row['id']}  {row['team']}  {row['role']}  made {row['created_at']}  {state}")
    if not rows:
        typer.echo("there are no keys; the service answers on loopback alone", err=True)


@cli.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `accord keys list` shows it.")],
) -> None:
    """Make a key worth nothing, from the next request on. What it made stays: the team's schedules go on."""
    from app.teams import keys

    keys.revoke(_database(), key_id)
    typer.echo(f"{key_id} is revoked")


def _database() -> Database:
    from app.cli.serve import migrated

    return migrated(Settings.load())

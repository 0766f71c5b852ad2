"""Alembic's environment: it runs on the connection that `Database.migrate` hands in, in its transaction."""

from alembic import context

from app.storage.tables import METADATA


def _ours(name: str | None, kind: str, _: object) -> bool:
    """Whether a table is ours: the queue keeps its own tables in the same database."""
    return kind != "table" or name in METADATA.tables


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    include_name=_ours,
    compare_type=True,
    render_as_batch=True,
)
context.run_migrations()

"""Indexes for what retention looks for, for a team's room, and for who made a thing."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
_OWN = sa.text("content IS NULL AND state IN ('queued', 'running', 'waiting')")


def upgrade() -> None:
    """Adds them."""
    op.create_index("ix_audit_resource", "audit", ["resource"])
    op.create_index("ix_jobs_finished", "jobs", ["finished_at"])
    op.create_index("ix_jobs_live", "jobs", ["team_id"], sqlite_where=_OWN, postgresql_where=_OWN)


def downgrade() -> None:
    """Takes them away."""
    op.drop_index("ix_jobs_live", "jobs")
    op.drop_index("ix_jobs_finished", "jobs")
    op.drop_index("ix_audit_resource", "audit")

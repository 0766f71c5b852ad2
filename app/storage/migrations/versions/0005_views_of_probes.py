"""Which views a probe set of vectors holds."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Adds the column; of a set before it the first job finds out."""
    op.add_column("probes", sa.Column("views", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Takes it away."""
    op.drop_column("probes", "views")

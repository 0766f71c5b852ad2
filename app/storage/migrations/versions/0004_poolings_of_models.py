"""How a model's positions may be pooled."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Adds the column; of a model before it the next job finds out."""
    op.add_column("models", sa.Column("poolings", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Takes it away."""
    op.drop_column("models", "poolings")

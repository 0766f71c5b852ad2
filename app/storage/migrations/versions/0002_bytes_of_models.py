"""How many bytes of files are kept for a model."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Adds the column; no model before it has files of its own."""
    op.add_column("models", sa.Column("bytes", sa.BigInteger(), server_default="0", nullable=False))


def downgrade() -> None:
    """Takes it away."""
    op.drop_column("models", "bytes")

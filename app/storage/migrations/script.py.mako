"""${message}."""

import sqlalchemy as sa
from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    """Makes the tables of this version."""
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    """Undoes it."""
    ${downgrades if downgrades else "pass"}

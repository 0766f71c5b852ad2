"""Metadata: what all tables share."""

from __future__ import annotations

import sqlalchemy as sa

METADATA = sa.MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)
# Every moment is seconds since 1970 by the database's own clock (`Database.now`), so that machines need not agree.
# JSON is sa.JSON, which both databases compare by nothing: no query looks inside.

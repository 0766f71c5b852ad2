"""Storage: tables, migrations and the database behind them."""

from app.storage.database import Database
from app.storage.ids import new_id

__all__ = ["Database", "new_id"]

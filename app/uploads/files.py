"""Files: where uploads lie. Each has a folder of its own, for a table may name any image beside it."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import RowMapping

from app.settings import Settings

COMING = ""  # the hash, in its row, of a file that is still coming in and takes its room already


def uploads_folder(settings: Settings) -> Path:
    """Returns the folder of all uploads."""
    return settings.data_dir.absolute() / "uploads"


def path_of(settings: Settings, upload: RowMapping) -> Path:
    """Returns where an upload's file is; it is never shown."""
    return uploads_folder(settings) / str(upload["id"]) / str(upload["filename"])

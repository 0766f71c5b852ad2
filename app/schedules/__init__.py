"""Schedules: a comparison or study that is repeated, once each time that it is due, and what it found over time."""

from app.schedules.history import settle

__all__ = ["settle"]

"""The command line, `accord`."""

from app.cli.main import main

__all__ = ["main"]

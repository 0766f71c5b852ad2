"""Keeper: where a training's state is put down, so that a killed run goes on from it to the same result."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from alignment.entropic.training.checkpoint import pack, unpack
from alignment.errors import TrainingError


@runtime_checkable
class Keeper(Protocol):
    """A place for one training's state."""

    def load(self, request: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Returns the state that was kept last, or None.

        Raises:
            TrainingError: if it is of another request.
        """

    def save(self, request: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        """Keeps a state in place of the last."""


@dataclass(frozen=True)
class FileKeeper:
    """A file that always holds a whole state.

    Attributes:
        path: the file.
        writer: tells this keeper's drafts from those of another process that may keep the same training's state.
    """

    path: Path
    writer: str = ""

    def load(self, request: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Returns the kept state; see `Keeper.load`."""
        if not self.path.is_file():
            return None
        kept = unpack(self.path.read_bytes(), str(self.path))
        if kept["request"] != request:
            differing = sorted(k for k in request if kept["request"].get(k) != request[k])
            raise TrainingError(
                f"{self.path} is of an unfinished training with another {', '.join(differing) or 'request'}; ask for "
                "the same to go on, or remove it to begin anew"
            )
        state: Mapping[str, Any] = kept["state"]
        return state

    def save(self, request: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        """Keeps a state; see `Keeper.save`."""
        self.path.parent.mkdir(exist_ok=True)
        draft = self.path.with_suffix(f"{self.writer and f'.{self.writer}'}.draft")
        with draft.open("wb") as file:
            file.write(pack({"request": request, "state": state}))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.path)


@dataclass
class FakeKeeper:
    """A keeper in memory, for tests: it can stop a training after some saves.

    Attributes:
        state: what was kept last, packed.
        patience: how many saves it takes before it raises KeyboardInterrupt; None takes all.
    """

    state: bytes | None = None
    patience: int | None = None

    def load(self, request: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Returns the kept state."""
        return None if self.state is None else unpack(self.state, "memory")

    def save(self, request: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        """Keeps a state."""
        self.state = pack(state)
        if self.patience is not None:
            self.patience -= 1
            if self.patience <= 0:
                raise KeyboardInterrupt

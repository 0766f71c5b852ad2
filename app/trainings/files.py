"""Files: where a training's state and its models lie, a folder a training, beneath the data folder that all share.

| beneath `trainings/PLACE` | what |
| --- | --- |
| `unfinished.safetensors` | the state, until the training has ended |
| `ATTEMPT/a`, `ATTEMPT/b`, `ATTEMPT/probe.npz` | what one attempt made; another's, which came too late, is nobody's |
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alignment.entropic.recipes.files import model_files, probe_file
from alignment.entropic.recipes.result import TrainingResult
from alignment.entropic.training.keeper import FileKeeper
from alignment.errors import TrainingError
from app.trainings.figures import FOLDER

PROBE = "probe.npz"
UNFINISHED = "unfinished.safetensors"


def place_of(settings: Mapping[str, Any], place: str) -> Path:
    """Returns a training's folder, made if it is not there."""
    folder = Path(settings["data_dir"]) / FOLDER / place
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_pair(result: TrainingResult, folder: Path) -> None:
    """Writes both models and the items that they can be compared on; they outlive the machine's fall from here on."""
    for name, member in zip("ab", result.members, strict=True):
        _write(folder / name, model_files(member))
    if result.probe_name is None:
        _write(folder, {PROBE: probe_file(result)})


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        with (folder / name).open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class JobKeeper(FileKeeper):
    """Keeps a job's state; one that cannot be used (damaged, or another version's) is as if there were none."""

    def load(self, request: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Returns the kept state; see `Keeper.load`."""
        try:
            return super().load(request)
        except TrainingError:  # the training begins anew, which comes to the same and takes longer
            return None

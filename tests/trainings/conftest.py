"""A service, and trainings of a few steps that are asked for over HTTP."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.teams import keys
from tests.service import Service

PATH = "/v1/trainings"
TINY: dict[str, Any] = {"recipe": "linear", "steps": 50, "seed": 3}


@dataclass
class Gym:
    """Where trainings are asked for, worked off and looked at."""

    service: Service
    folder: Path

    def ask(self, headers: dict[str, str] | None = None, **changes: Any) -> Any:
        """The answer to a training that is asked for."""
        return self.service.client.post(PATH, json={**TINY, **changes}, headers=headers)

    def train(self, **changes: Any) -> dict[str, Any]:
        """A training that has ended."""
        answer = self.ask(**changes)
        assert answer.status_code == 202, answer.text
        self.service.work_off()
        found: dict[str, Any] = self.service.client.get(answer.headers["Location"]).json()
        return found

    def refused(self, **changes: Any) -> tuple[str, str]:
        """The pointer and the message of the one error that is answered to a training."""
        answer = self.ask(**changes)
        assert answer.status_code == 422, answer.text
        (error,) = answer.json()["errors"]
        return error["pointer"], error["message"]

    def probe(self, name: str, **arrays: Any) -> str:
        """The id of a probe set of these arrays."""
        file = self.folder / f"{name}.npz"
        np.savez(file, **arrays)
        return self.upload(name, file.read_bytes())

    def upload(self, name: str, content: bytes, ending: str = "npz") -> str:
        """The id of a probe set of a file's content."""
        answer = self.service.client.post(
            "/v1/probes", files={"file": (f"{name}.{ending}", content)}, data={"name": name}
        )
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def key(self, team: str, role: str) -> dict[str, str]:
        """The headers of a new key."""
        return {"Authorization": f"Bearer {keys.create(self.service.database, team, role)[1]}"}

    def model(self, model_id: str) -> dict[str, Any]:
        """A model as it is shown."""
        found: dict[str, Any] = self.service.client.get(f"/v1/models/{model_id}").json()
        return found


@pytest.fixture
def gym(service: Service, tmp_path: Path) -> Gym:
    return Gym(service, tmp_path)


@pytest.fixture
def rows() -> Callable[..., dict[str, np.ndarray]]:
    """Returns a function that makes rows which a small network can learn."""

    def make(items: int = 80, width: int = 4, *, classes: bool = False) -> dict[str, np.ndarray]:
        x = np.random.default_rng(0).normal(size=(items, width))
        return {"x": x, "target": (x[:, 0] > 0).astype(np.int64) if classes else x @ np.ones(width)}

    return make

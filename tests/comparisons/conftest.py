"""Models and a probe set that are registered already, small enough to be compared in a moment."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from app.storage import new_id
from app.storage.tables import models, probes, teams
from tests.service import Service

ITEMS = 40


class Registered(NamedTuple):
    """Ids of what is registered."""

    a: str
    b: str
    probe: str


@pytest.fixture
def register(service: Service, tmp_path: Path) -> Callable[..., str]:
    """Returns a function that registers a file of activations as a model, and returns its id."""
    numbers = itertools.count()

    def model(name: str, team: str = "default", **row: Any) -> str:
        number = next(numbers)
        path = tmp_path / f"secret-{number}.npz"
        draw = np.random.default_rng(number)
        shared = np.random.default_rng(0).normal(size=(ITEMS, 6))
        layers = {f"layer.{i}": (shared + 0.2 * i * draw.normal(size=(ITEMS, 6))).astype(np.float32) for i in range(3)}
        np.savez(path, **layers)
        values = {
            "id": new_id("model"),
            "team_id": _team(service, team),
            "name": name,
            "shared": False,
            "source": {"type": "features", "upload": "upl_0"},
            "reference": f"features:{path}",
            "modality": None,
            "layers": None,
            "created_at": 0.0,
            **row,
        }
        with service.database.write() as connection:
            connection.execute(models.insert().values(values))
        return str(values["id"])

    return model


def _team(service: Service, name: str) -> str:
    with service.database.read() as connection:
        return str(connection.execute(teams.select().where(teams.c.name == name)).mappings().one()["id"])


@pytest.fixture
def registered(service: Service, tmp_path: Path, register: Callable[..., str]) -> Registered:
    """Two models, `one` and `two`, and the probe set `texts`."""
    from alignment.probes import load_probe

    path = tmp_path / "secret-texts.jsonl"
    path.write_text("".join(json.dumps({"text": f"text {i}", "id": str(i)}) + "\n" for i in range(ITEMS)))
    values = {
        "id": new_id("probe"),
        "team_id": _team(service, "default"),
        "name": "texts",
        "shared": False,
        "source": {"type": "upload", "upload": "upl_1"},
        "reference": str(path),
        "columns": {},
        "modality": "text",
        "samples": ITEMS,
        "sha256": load_probe(str(path)).sha256,
        "created_at": 0.0,
    }
    with service.database.write() as connection:
        connection.execute(probes.insert().values(values))
    return Registered(register("one"), register("two"), str(values["id"]))


@pytest.fixture
def body(registered: Registered) -> dict[str, Any]:
    """The shortest request."""
    return {"model_a": "one", "model_b": "two", "probe": "texts"}

"""Comparisons and studies of tiny models, put into the ledger as the HTTP side puts them, and worked off here."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from alignment.calibration import Calibration
from alignment.comparison import Comparison, Scoring
from alignment.extraction import ActivationStore
from alignment.metrics import parse_metrics
from alignment.probes import load_probe
from app.jobs import NewJob
from app.jobs.results import result_of
from app.scoring.asked import STORE
from app.storage.tables import counters, jobs, models
from tests.models import conftest as models_conftest
from tests.models.conftest import TEXT, save, tokenizer
from tests.service import Service

ITEMS = 40


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Tiny text models with random weights: two of the BERT family, one causal."""
    made = {}
    for family in ("bert", "distilbert", "gpt2"):
        made[family] = save(TEXT[family](), tmp_path_factory.mktemp(family))
        tokenizer(family, "right").save_pretrained(made[family])
    return made


@pytest.fixture
def probe(tmp_path: Path) -> str:
    path = tmp_path / "secret-place" / "texts.txt"
    path.parent.mkdir()
    path.write_text("\n".join(" ".join(f"w{5 + (i * 7 + k * k) % 59}" for k in range(1 + i % 9)) for i in range(ITEMS)))
    return str(path)


@dataclass
class Desk:
    """Where work is asked for, and its end looked up."""

    service: Service
    probe: str

    def side(self, reference: str, name: str, **changed: Any) -> dict[str, Any]:
        return {
            "id": f"mdl_{name}",
            "name": name,
            "reference": reference,
            "layers": "all",
            "pooling": "mean",
            **changed,
        }

    def payload(self, **changed: Any) -> dict[str, Any]:
        probe = {
            "id": "prb_1",
            "name": "my texts",
            "reference": self.probe,
            "columns": {},
            "sha256": load_probe(self.probe).sha256,
        }
        return {
            "probe": probe,
            "metrics": [
                {"name": c.metric.name, "params": dict(c.values)} for c in parse_metrics(["mutual_knn", "cka"])
            ],
            "preprocess": {"clip": 0.95, "normalize": True},
            "calibration": {"permutations": 19, "resamples": 0, "level": 0.95},
            "samples": 32,
            "seed": 3,
            "dtype": "auto",
            "device": "auto",
            "request": {"as": "shown"},
            **changed,
        }

    def ask(self, kind: str, payload: dict[str, Any], team: str = "tea_1") -> str:
        ledger = self.service.app.state.accord.ledger
        with self.service.database.write() as connection:
            row = ledger.submit(connection, NewJob(kind, team, "score", payload["request"], payload))
        return str(row["id"])

    def compare(self, a: dict[str, Any], b: dict[str, Any], **changed: Any) -> dict[str, Any]:
        """The row of a comparison that has been worked off, with its result."""
        return self.end(self.ask("comparison", self.payload(a=a, b=b, **changed)))

    def end(self, job_id: str) -> dict[str, Any]:
        self.service.work_off()
        with self.service.database.read() as connection:
            row = connection.execute(sa.select(jobs).where(jobs.c.id == job_id)).mappings().one()
            found = result_of(connection, job_id)
        return {**row, "result": None if found is None else found[0]}

    def count(self, name: str) -> float:
        with self.service.database.read() as connection:
            asked = sa.select(sa.func.coalesce(sa.func.sum(counters.c.value), 0)).where(counters.c.name == name)
            return float(connection.execute(asked).scalar_one())

    def register(self, side: dict[str, Any]) -> None:
        with self.service.database.write() as connection:
            connection.execute(
                models.insert().values(
                    id=side["id"],
                    team_id="tea_1",
                    name=side["name"],
                    shared=False,
                    source={},
                    reference=side["reference"],
                    created_at=0,
                )
            )

    def model(self, side: dict[str, Any]) -> dict[str, Any]:
        with self.service.database.read() as connection:
            return dict(connection.execute(sa.select(models).where(models.c.id == side["id"])).mappings().one())

    @property
    def store(self) -> ActivationStore:
        return ActivationStore(self.service.settings.data_dir / STORE)

    def request(self, a: str, b: str) -> Comparison:
        """The same comparison for `alignment.comparison.compare`."""
        scoring = Scoring(
            metrics=parse_metrics(["mutual_knn", "cka"]),
            calibration=Calibration(permutations=19, resamples=0),
            seed=3,
            device="cpu",
        )
        return Comparison(a, b, self.probe, scoring, samples=32)


@pytest.fixture
def desk(service: Service, probe: str) -> Desk:
    return Desk(service, probe)


@pytest.fixture
def no_leak() -> Callable[..., None]:
    """Checks that nothing of a row's visible parts is a path of this server."""

    def check(row: dict[str, Any]) -> None:
        told = json.dumps({"result": row["result"], "error": row["error"], "progress": row["progress"]})
        for secret in ("/tmp", "secret-place", "pytest-", "/data", "/cache"):
            assert secret not in told, told

    return check


image_folder = models_conftest.image_folder

"""Planted models: files of activations that share a latent as far as they are told to."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from alignment.calibration import Calibration
from alignment.comparison import Scoring
from alignment.metrics import parse_metrics
from alignment.preprocessing import Preprocessing
from alignment.study import Study

ITEMS = 60


@pytest.fixture
def probe(tmp_path: Path) -> str:
    """A probe set of 60 texts, with ids."""
    path = tmp_path / "probe.csv"
    path.write_text("id,text\n" + "".join(f"i{row},word{row}\n" for row in range(ITEMS)))
    return str(path)


@pytest.fixture
def plant(tmp_path: Path) -> Callable[..., str]:
    """Writes a model: layers of a latent (by its seed), each mixed by its own map and blurred by its own noise."""

    def write(name: str, latent: int, noise: float = 0.3, seed: int = 0, layers: int = 2, width: int = 8) -> str:
        signal = np.random.default_rng(latent).normal(size=(ITEMS, 5))
        own = np.random.default_rng([latent, seed, 7])
        arrays = {
            f"layer.{depth}": signal @ own.normal(size=(5, width)) + noise * own.normal(size=(ITEMS, width))
            for depth in range(layers)
        }
        path = tmp_path / f"{name}.npz"
        np.savez(path, **{key: value.astype(np.float32) for key, value in arrays.items()})
        return f"features:{path}"

    return write


@pytest.fixture
def ask(probe: str) -> Callable[..., Study]:
    """Makes a study with few permutations."""

    def make(*models: str, metrics: tuple[str, ...] = ("mutual_knn:k=5",), permutations: int = 39, **more) -> Study:
        scoring = Scoring(
            metrics=parse_metrics(metrics),
            preprocess=Preprocessing(clip=None),
            calibration=Calibration(permutations=permutations, resamples=more.pop("resamples", 0)),
            device="cpu",
        )
        return Study(models, more.pop("probe", probe), scoring, **more)

    return make

"""The work of a study: the science's own matrices, with the service's names."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alignment.study import KernelSource, Study, study
from tests.scoring.conftest import ITEMS, Desk

NAMES = ("one", "two", "three")
CAPABILITY = {"mdl_one": 1.0, "two": 2.0, "three": 5.0}


@pytest.fixture
def models(desk: Desk, folders: dict[str, Path]) -> list[dict[str, Any]]:
    return [desk.side(f"path:{folder}", name) for name, folder in zip(NAMES, folders.values(), strict=True)]


def test_its_numbers_are_those_of_study_to_the_last_bit(
    desk: Desk, models: list[dict[str, Any]], tmp_path: Path, no_leak: Callable[..., None]
) -> None:
    kernel = np.random.default_rng(0).normal(size=(ITEMS, 4))
    file = tmp_path / "kernel.npz"
    np.savez(file, kernel=kernel @ kernel.T)
    asked = {"kind": "kernel", "path": str(file), "name": "my kernel"}
    row = desk.end(desk.ask("study", desk.payload(models=models, capability=CAPABILITY, reference=asked)))
    assert row["state"] == "succeeded", row["error"]
    places = [side["reference"] for side in models]
    direct = study(
        Study(
            tuple(places),
            desk.probe,
            replace(desk.request(places[0], places[1]).scoring),
            samples=32,
            capability=dict(zip(places, CAPABILITY.values(), strict=True)),
            reference=KernelSource("kernel", str(file)),
        )
    ).to_dict()
    found = row["result"]
    for mine, theirs in zip(found["metrics"], direct["metrics"], strict=True):
        for name in ("matrix", "calibrated", "p_value", "q_value", "best_layers", "trend"):
            assert mine[name] == theirs[name]
        order = [places[NAMES.index(name)] for name in mine["clusters"]["order"]]
        assert order == theirs["clusters"]["order"]
    for mine, theirs in zip(found["prediction"]["metrics"], direct["prediction"]["metrics"], strict=True):
        assert [fit["scores"] for fit in mine["models"]] == [fit["scores"] for fit in theirs["models"]]
    assert [model["name"] for model in found["models"]] == list(NAMES)
    assert found["prediction"]["kernel"]["path"] == "my kernel"
    assert found["provenance"]["models"]["two"]["reference"] == "path:two"
    no_leak(row)


def test_it_shares_extractions_with_comparisons(desk: Desk, models: list[dict[str, Any]]) -> None:
    desk.compare(models[0], models[1])
    row = desk.end(desk.ask("study", desk.payload(models=models, capability=None, reference=None)))
    assert row["state"] == "succeeded"
    assert desk.count("accord_forward_items") == 96
    assert (desk.count("accord_activations_made"), desk.count("accord_activations_found")) == (3, 2)


def test_models_of_one_name_are_told_apart(desk: Desk, models: list[dict[str, Any]]) -> None:
    models = [models[0], {**models[0], "id": "mdl_other", "pooling": "max"}]
    row = desk.end(desk.ask("study", desk.payload(models=models, capability=None, reference=None)))
    assert [model["name"] for model in row["result"]["models"]] == ["one (mdl_one)", "one (mdl_other)"]


def test_vectors_for_two_sides_are_refused_before_anything_runs(
    desk: Desk, models: list[dict[str, Any]], tmp_path: Path, no_leak: Callable[..., None]
) -> None:
    file = tmp_path / "views.npz"
    np.savez(file, a=np.ones((ITEMS, 3), np.float32), b=np.ones((ITEMS, 2), np.float32))
    views = Desk(desk.service, str(file))
    row = views.end(views.ask("study", views.payload(models=models, capability=None, reference=None)))
    assert "a study has no sides" in row["error"]["detail"]
    assert desk.count("accord_forward_items") == 0
    no_leak(row)

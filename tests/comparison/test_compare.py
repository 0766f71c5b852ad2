"""compare(): two models named, one report; tried with fakes, and with files that stand for models."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from alignment.calibration import Calibration
from alignment.comparison import Comparison, Extraction, Scoring, compare, extract_model, source
from alignment.errors import MismatchError, ModelError, ProbeError, ReferenceError, RequestError, UnknownNameError
from alignment.metrics import parse_metrics
from alignment.models import Encoder, FakeEncoder, FakeHub
from alignment.references import ModelRef

QUICK = Scoring(calibration=Calibration(permutations=19, resamples=0))
FAKES = {
    "builtin:a": FakeEncoder.of("a", seed=1, layers=3),
    "builtin:b": FakeEncoder.of("b", seed=2, layers=2, noise=0.3),
    "builtin:stranger": FakeEncoder.of("stranger", seed=3, latent=9),
    "builtin:eye": FakeEncoder.of("eye", "image"),
    "builtin:vectors": FakeEncoder.of("vectors", "array"),
    "builtin:plain": FakeEncoder.of("plain", poolings=("mean",)),
}


@pytest.fixture(autouse=True)
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Puts the fakes where models are loaded, and tells which were."""
    names: list[str] = []

    def load(ref: ModelRef, **_: Any) -> Encoder:
        names.append(str(ref))
        if str(ref) not in FAKES:
            raise UnknownNameError("built-in model", ref.name, [name.partition(":")[2] for name in FAKES])
        return FAKES[str(ref)]

    monkeypatch.setattr(source, "load_encoder", load)
    return names


@pytest.fixture
def texts(tmp_path: Path) -> str:
    """A probe set of 30 texts of many lengths."""
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(f"item {i} " + "word " * (i * 7 % 11) for i in range(30)))
    return str(path)


def asked(texts: str, a: str = "builtin:a", b: str = "builtin:b", **changed: Any) -> Comparison:
    return Comparison(a, b, texts, **{"scoring": QUICK, "samples": 30, **changed})


def test_models_of_one_world_agree_and_strangers_do_not(texts: str) -> None:
    alike, apart = compare(asked(texts)), compare(asked(texts, b="builtin:stranger"))
    for report, beyond_chance in ((alike, True), (apart, False)):
        best = report.metrics[0].best
        assert best is not None
        assert best.p_value is not None
        assert (best.p_value <= 0.05) == beyond_chance
    assert (alike.samples, alike.layers_a, alike.layers_b) == (
        30,
        ("layer.0", "layer.1", "layer.2"),
        ("layer.0", "layer.1"),
    )


def test_the_same_request_gives_the_same_report(texts: str) -> None:
    assert compare(asked(texts)).to_dict() == compare(asked(texts)).to_dict()
    assert compare(asked(texts, samples=20)).to_dict() == compare(asked(texts, samples=20)).to_dict()


def test_swapping_the_models_transposes_the_grid(texts: str) -> None:
    there, back = (
        compare(request).metrics[0].grid for request in (asked(texts), asked(texts, "builtin:b", "builtin:a"))
    )
    assert there == tuple(zip(*back, strict=True))


def test_a_model_against_itself_is_loaded_once_and_scores_one(texts: str, loaded: list[str]) -> None:
    report = compare(asked(texts, b="builtin:a"))
    assert loaded == ["builtin:a"]
    assert [report.metrics[0].grid[i][i] for i in range(3)] == [1.0, 1.0, 1.0]
    poolings = compare(asked(texts, b="builtin:b", a="builtin:b", pooling=("mean", "max")))
    assert poolings.metrics[0].grid[0][0] != 1.0  # the fake's noise depends on the pooling


@pytest.mark.parametrize(
    ("layers", "a", "b"),
    [
        (("all", "all"), ("layer.0", "layer.1", "layer.2"), ("layer.0", "layer.1")),
        (("last", "last"), ("layer.2",), ("layer.1",)),
        ((("layer.2", 0), "last"), ("layer.2", "layer.0"), ("layer.1",)),
        (((-2,), (1, "layer.0")), ("layer.1",), ("layer.1", "layer.0")),
    ],
)
def test_layers(texts: str, layers: Any, a: tuple[str, ...], b: tuple[str, ...]) -> None:
    report = compare(asked(texts, scoring=replace(QUICK, layers=layers)))
    assert (report.layers_a, report.layers_b) == (a, b)
    everything = compare(asked(texts))
    for name_a, row in zip(a, report.metrics[0].grid, strict=True):
        for name_b, value in zip(b, row, strict=True):
            whole = everything.metrics[0].grid
            assert value == whole[everything.layers_a.index(name_a)][everything.layers_b.index(name_b)]


def test_each_side_pools_in_its_own_way(texts: str) -> None:
    report = compare(asked(texts, pooling=("mean", "cls")))
    assert [report.provenance[side].pooling for side in ("model_a", "model_b")] == ["mean", "cls"]
    assert report.to_dict()["provenance"]["request"]["pooling"] == {"a": "mean", "b": "cls"}


def test_provenance_carries_the_request_with_every_default(texts: str) -> None:
    provenance = compare(Comparison("builtin:a", "builtin:b", texts)).to_dict()["provenance"]
    assert provenance["request"] == {
        "model_a": "builtin:a",
        "model_b": "builtin:b",
        "probe": texts,
        "samples": 1024,
        "pooling": {"a": "mean", "b": "mean"},
        "dtype": "auto",
        "metrics": [{"name": "mutual_knn", "params": {"k": 10}}],
        "layers": "all",
        "device": "auto",
        "preprocess": {"clip": 0.95, "normalize": True},
        "seed": 0,
        "calibration": {"permutations": 200, "resamples": 200, "level": 0.95},
    }
    assert provenance["model_a"]["fingerprint"] == FAKES["builtin:a"].fingerprint
    assert provenance["model_b"]["reference"] == "fake:b"
    assert len(provenance["probe_sha256"]) == 64
    assert {"accord", "torch", "transformers", "numpy", "python"} <= set(provenance["versions"])
    assert (provenance["seed"], provenance["device"]) == (0, "cuda:0" if torch.cuda.is_available() else "cpu")


def test_every_choice_shows_in_provenance(texts: str) -> None:
    scoring = Scoring(
        parse_metrics(["cka:kernel=rbf"]), (("layer.0",), "last"), seed=5, device="cpu", calibration=Calibration(19, 0)
    )
    request = compare(asked(texts, scoring=scoring, samples=12)).to_dict()["provenance"]["request"]
    assert request["metrics"] == [{"name": "cka", "params": {"kernel": "rbf", "bandwidth": 1.0}}]
    assert request["layers"] == {"a": ["layer.0"], "b": "last"}
    assert (request["seed"], request["samples"], request["device"]) == (5, 12, "cpu")
    assert request["calibration"] == {"permutations": 19, "resamples": 0, "level": 0.95}


def test_too_few_items_to_draw_is_a_warning_and_too_few_to_score_a_refusal(texts: str, loaded: list[str]) -> None:
    report = compare(asked(texts, samples=31))
    assert [(w.code, w.side) for w in report.warnings] == [("fewer_samples", None)]
    assert report.samples == 30
    assert not compare(asked(texts, samples=30)).warnings
    loaded.clear()
    with pytest.raises(RequestError, match="mutual_knn needs at least 11 items, and there are 8"):
        compare(asked(texts, samples=8))
    assert loaded == []


def test_permutations_can_be_left_out(texts: str) -> None:
    metric = compare(asked(texts, scoring=Scoring(calibration=Calibration(0, 0)))).metrics[0]
    assert (metric.null_method, metric.p_grid, metric.null_mean_grid, metric.calibrated_grid) == (None,) * 4
    assert metric.best is not None
    assert (metric.best.p_value, metric.best.null_mean, metric.best.calibrated) == (None,) * 3


def test_progress_tells_of_each_stage_to_its_end(texts: str) -> None:
    steps: list[tuple[str, int, int]] = []
    compare(asked(texts), progress=lambda *step: steps.append(step))
    stages = list(dict.fromkeys(stage for stage, _, _ in steps))
    assert stages == ["extract_a", "extract_b", "score", "calibrate"]
    for stage in stages:
        done = [(at, total) for name, at, total in steps if name == stage]
        assert done == sorted(done)
        assert done[-1][0] == done[-1][1]


def test_files_of_activations_stand_for_models(texts: str, tmp_path: Path, loaded: list[str]) -> None:
    from alignment.activations import write_activations

    scores = compare(asked(texts, samples=20)).metrics
    for name, suffix in (("a", ".npz"), ("b", ".safetensors")):
        write_activations(extract_model(Extraction(f"builtin:{name}", texts)), tmp_path / f"{name}{suffix}")
    files = {side: f"features:{tmp_path / name}" for side, name in (("a", "a.npz"), ("b", "b.safetensors"))}
    loaded.clear()
    report = compare(asked(texts, samples=20, **files))
    assert report.metrics == scores  # the whole set was extracted, and the same 20 items found in it
    assert loaded == []
    assert report.to_dict()["provenance"]["dtype"] is None
    mixed = compare(asked(texts, a=files["a"], samples=20))
    assert mixed.metrics == scores


def test_an_extraction_is_of_the_items_that_a_comparison_draws(texts: str) -> None:
    drawn = extract_model(Extraction("builtin:a", texts, samples=9, seed=4, layers="last", pooling="max"))
    assert (len(drawn), drawn.layers, drawn.origin.pooling) == (9, ("layer.2",), "max")
    whole = extract_model(Extraction("builtin:a", texts, pooling="max"))
    assert whole.ids is not None
    assert drawn.ids is not None
    assert torch.equal(drawn.values[0], whole.values[2][[whole.ids.index(item) for item in drawn.ids]])


def test_vectors_come_a_view_a_side(tmp_path: Path, noise: Callable[..., np.ndarray]) -> None:
    x, y = noise(0, 30), noise(1, 30)
    np.savez(tmp_path / "two.npz", a=x, b=y)
    np.savez(tmp_path / "one.npz", x=x)
    two = compare(asked(str(tmp_path / "two.npz"), "builtin:vectors", "builtin:vectors"))
    one = compare(asked(str(tmp_path / "one.npz"), "builtin:vectors", "builtin:vectors"))
    assert two.metrics[0].grid[0][0] != one.metrics[0].grid[0][0] == 1.0


@pytest.mark.parametrize(
    ("changed", "kind", "message"),
    [
        ({"b": "builtin:strange"}, UnknownNameError, "did you mean 'stranger'"),
        ({"b": "nonsense"}, ReferenceError, "does not name a model"),
        ({"b": "hf:org/none"}, ModelError, "the hub has no model 'org/none'"),
        ({"b": "features:missing.npz"}, RequestError, "there is no file missing.npz"),
        ({"b": "builtin:eye"}, ProbeError, "has text but the model takes image"),
        ({"b": "builtin:plain", "pooling": ("mean", "max")}, ModelError, "cannot pool by 'max'"),
        ({"scoring": replace(QUICK, layers=("all", (7,)))}, RequestError, "there is no layer 7"),
        ({"scoring": replace(QUICK, layers=("all", ("layer.7",)))}, UnknownNameError, "there is no layer 'layer.7'"),
    ],
)
def test_what_cannot_be_done_is_refused_before_any_model_runs(
    texts: str, changed: dict[str, Any], kind: type[Exception], message: str
) -> None:
    for fake in FAKES.values():
        fake.calls.clear()
    with pytest.raises(kind, match=message):
        compare(asked(texts, **changed), hub=FakeHub({}))
    assert not any(fake.calls for fake in FAKES.values())


def test_rows_that_differ_are_refused(texts: str, tmp_path: Path, noise: Callable[..., np.ndarray]) -> None:
    np.savez(tmp_path / "short.npz", h=noise(0, 20))
    with pytest.raises(MismatchError, match=r"has 20 rows and no ids, and probe set .* has 30 items"):
        compare(asked(texts, a=f"features:{tmp_path / 'short.npz'}"))


def test_a_report_survives_json(texts: str) -> None:
    def numbers(value: Any) -> Iterator[float]:
        if isinstance(value, float):
            yield value
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from numbers(item)

    scoring = Scoring(parse_metrics(["mutual_knn", "cka", "unbiased_cka"]), calibration=Calibration(9, 0))
    result = compare(asked(texts, scoring=scoring)).to_dict()
    assert list(numbers(json.loads(json.dumps(result, allow_nan=False)))) == list(numbers(result))

"""Laws of a study."""

import json
from dataclasses import replace

import numpy as np
import pytest

from alignment.comparison import Comparison, compare, source
from alignment.errors import RequestError
from alignment.models import FakeEncoder
from alignment.study import Study, study
from alignment.study import models as study_models
from alignment.study.shelf import Shelf, pairs_in_blocks

METRICS = ("mutual_knn:k=5", "cycle_knn:k=5", "unbiased_cka")


def values(matrix):
    return np.array([[np.nan if cell is None else cell for cell in row] for row in matrix], dtype=float)


def test_a_study_of_two_is_their_comparison(plant, ask):
    a, b = plant("a", 1, seed=1, layers=3), plant("b", 1, seed=2)
    request = ask(a, b, metrics=METRICS, resamples=20)
    found = study(request)
    for first, second, at in ((a, b, (0, 1)), (b, a, (1, 0))):
        report = compare(Comparison(first, second, request.probe, request.scoring))
        for result in found.metrics:
            if at == (1, 0) and result.symmetric:
                continue
            best = report.metric(result.key).best
            row, column = at
            assert result.matrix[row][column] == best.score
            assert result.calibrated[row][column] == best.calibrated
            assert result.p_value[row][column] == best.p_value
            assert result.null_mean[row][column] == best.null_mean
            assert result.best_layers[row][column] == (best.layer_a, best.layer_b)
            assert (None if result.interval is None else result.interval[row][column]) == best.interval
    symmetric = found.metric("mutual_knn:k=5")
    assert symmetric.matrix[1][0] == symmetric.matrix[0][1]
    assert symmetric.best_layers[1][0] == symmetric.best_layers[0][1][::-1]
    assert symmetric.q_value == symmetric.p_value  # one test
    assert found.metric("cycle_knn:k=5").matrix[0][1] != found.metric("cycle_knn:k=5").matrix[1][0]


def test_relabelling_the_models_permutes_the_matrices(plant, ask):
    models = [plant(f"m{number}", number // 2, seed=number, layers=1 + number % 2) for number in range(5)]
    capability = {model: number for number, model in enumerate(models)}
    found = study(ask(*models, metrics=METRICS, capability=capability))
    mixed = np.random.default_rng(0).permutation(5)
    other = study(ask(*(models[i] for i in mixed), metrics=METRICS, capability=capability))
    for one, moved in zip(found.metrics, other.metrics, strict=True):
        np.testing.assert_allclose(values(one.matrix)[np.ix_(mixed, mixed)], values(moved.matrix), atol=1e-6)
        # A pair named the other way round is shuffled by the inverse of each shuffle: chance is drawn anew.
        np.testing.assert_allclose(
            values(one.calibrated)[np.ix_(mixed, mixed)], values(moved.calibrated), atol=0.15, equal_nan=True
        )
        assert {frozenset(g) for g in one.clusters.groups} == {frozenset(g) for g in moved.clusters.groups}


def test_planted_clusters_are_found_beyond_chance_and_q_is_over_the_pairs(plant, ask):
    models = [plant(f"m{number}", number % 2, seed=number) for number in range(6)]
    found = study(ask(*models)).metrics[0]
    assert {frozenset(group) for group in found.clusters.groups} == {frozenset(models[::2]), frozenset(models[1::2])}
    p, q = values(found.p_value), values(found.q_value)
    off = ~np.eye(6, dtype=bool)
    assert np.isnan(np.diag(p)).all()
    assert (q[off] >= p[off]).all()
    alike = (np.arange(6) % 2)[:, None] == np.arange(6) % 2
    assert (q[alike & off] <= 0.07).all()
    assert np.median(p[~alike]) > 0.1


def test_planted_trend_is_found(plant, ask):
    noise = [3.0, 2.0, 1.2, 0.8, 0.4, 0.1]
    models = [plant(f"m{number}", 1, noise=level, seed=number) for number, level in enumerate(noise)]
    able = {model: -level for model, level in zip(models, noise, strict=True)}
    found = study(ask(*models, capability=able))
    trend = found.metrics[0].trend
    assert trend.rho > 0.8
    assert trend.p_value < 0.05
    assert trend.alignment == "calibrated"
    assert [model.capability for model in found.models] == [-level for level in noise]
    turned = study(ask(*models, capability={model: -value for model, value in able.items()})).metrics[0].trend
    assert turned.rho == pytest.approx(-trend.rho)
    assert turned.p_value > 0.95


@pytest.mark.parametrize("kept", [study_models.KEPT, 0])
def test_each_model_is_extracted_once_and_its_views_made_once(monkeypatch, ask, kept):
    made = {f"path:m{number}": FakeEncoder.of(str(number), seed=number) for number in range(4)}
    monkeypatch.setattr(source, "load_encoder", lambda ref, **_: made[str(ref)])
    monkeypatch.setattr(study_models, "KEPT", kept)
    views = []
    make = Shelf.__init__.__globals__["make_views"]
    monkeypatch.setitem(
        Shelf.__init__.__globals__, "make_views", lambda answer, scoring: views.append(answer) or make(answer, scoring)
    )
    stages = []
    study(ask(*made, permutations=0), progress=lambda *step: stages.append(step))
    assert all(sum(encoder.calls) == 60 for encoder in made.values())
    assert len(views) == 4
    assert stages[0] == ("extract", 0, 240)
    assert ("extract", 240, 240) in stages
    assert stages[-1] == ("score", 6, 6)


def test_without_room_the_result_is_the_same(plant, ask):
    models = [plant(f"m{number}", 1, seed=number) for number in range(5)]
    request = ask(*models, metrics=METRICS)
    assert study(replace(request, room=1)).metrics == study(request).metrics


@pytest.mark.parametrize(("count", "block"), [(2, 1), (5, 2), (7, 3), (6, 6)])
def test_blocks_hold_every_pair_once(count, block):
    pairs = [(a, b) for first, second in pairs_in_blocks(count, block) for a in first for b in second if a < b]
    assert sorted(pairs) == [(a, b) for a in range(count) for b in range(a + 1, count)]


def test_the_report_is_json_and_tells_the_whole_request(plant, ask):
    a, b, c = (plant(name, 1, seed=seed) for seed, name in enumerate("abc"))
    told = study(ask(a, b, c, layers={b: "last"}, capability={a: 1, b: 2, c: 3}, samples=100)).to_dict()
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    request = told["provenance"]["request"]
    assert request["models"] == [a, b, c]
    assert request["layers"] == {b: "last"}
    assert request["calibration"] == {"permutations": 39, "resamples": 0, "level": 0.95}
    assert told["models"][1]["layers"] == ["layer.1"]
    assert told["metrics"][0]["trend"]["orders"] == 6
    assert "fewer_samples" in {warning["code"] for warning in told["warnings"]}
    assert "few_permutations" in {warning["code"] for warning in told["warnings"]}


def test_nothing_is_calibrated_with_no_permutations(plant, ask):
    found = study(ask(plant("a", 1), plant("b", 1, seed=1), permutations=0)).metrics[0]
    assert (found.calibrated, found.p_value, found.q_value, found.null_mean) == (None,) * 4
    assert found.clusters.distance == "1 - score"


def test_a_pair_without_a_meaning_is_null_and_explained(plant, ask, tmp_path):
    np.savez(tmp_path / "flat.npz", layer=np.ones((60, 4), dtype=np.float32))
    flat = f"features:{tmp_path / 'flat.npz'}"
    a, b = plant("a", 1), plant("b", 1, seed=1)
    found = study(ask(a, flat, b, capability={a: 1, flat: 2, b: 3}))
    assert found.metrics[0].matrix[0][1] is None
    assert found.metrics[0].matrix[0][2] > 0
    assert found.metrics[0].trend is None
    assert {"undefined_trend"} < {warning.code for warning in found.warnings}
    assert any(warning.model == flat for warning in found.warnings)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"models": ("features:a.npz",)}, "2 to 64 models, not 1"),
        ({"models": ("features:a.npz",) * 2}, "named twice"),
        ({"capability": {"features:a.npz": 1.0}}, "no capability for features:b.npz"),
        ({"capability": {"features:a.npz": 1.0, "features:b.npz": float("nan")}}, "give a finite number"),
        ({"layers": {"features:c.npz": "last"}}, "which the study does not have"),
        ({"pooling": "median"}, "no pooling 'median'"),
    ],
)
def test_what_cannot_be_done_is_refused_at_once(change, sentence):
    with pytest.raises(RequestError, match=sentence):
        Study(**{"models": ("features:a.npz", "features:b.npz"), "probe": "p.csv", **change})


def test_the_last_model_is_checked_before_the_first_works(monkeypatch, ask, plant):
    encoder = FakeEncoder.of()
    monkeypatch.setattr(source, "load_encoder", lambda ref, **_: encoder)
    with pytest.raises(RequestError, match=r"no file .*gone\.npz"):
        study(ask("path:fake", plant("a", 1), "features:gone.npz"))
    assert not encoder.calls


def test_views_of_two_sides_are_refused(monkeypatch, ask, tmp_path):
    path = tmp_path / "pairs.npz"
    np.savez(path, a=np.ones((60, 2)), b=np.ones((60, 2)))
    monkeypatch.setattr(source, "load_encoder", lambda ref, **_: FakeEncoder.of(modality="array"))
    with pytest.raises(RequestError, match="a study has no sides"):
        study(ask("path:a", "path:b", probe=str(path)))


def test_a_metric_with_too_few_items_is_null_for_every_pair_and_said_once(plant, ask):
    models = [plant(name, 1, seed=number) for number, name in enumerate("abc")]
    metrics = ("cka", "cycle_knn", "svcca")
    able = {model: number for number, model in enumerate(models)}
    found = study(ask(*models, metrics=metrics, samples=9, capability=able))
    alone = study(ask(*models, metrics=("cka",), samples=9, capability=able))
    assert found.metrics[0] == alone.metrics[0]
    for result in found.metrics[1:]:
        assert np.isnan(values(result.matrix)).all()
        assert (result.p_value, result.q_value, result.trend) == (None, None, None)
    told = [
        warning.detail.partition(" has no score")[0] for warning in found.warnings if warning.code == "too_few_items"
    ]
    assert told == ["cycle_knn", "svcca"]
    with pytest.raises(RequestError, match="svcca needs at least 12 items, and there are 9"):
        study(ask(*models, metrics=("svcca",), samples=9))
    with pytest.raises(RequestError, match="cycle_knn:k=9 needs at least 10 items"):
        study(ask(*models, metrics=("cka", "cycle_knn:k=9"), samples=9))

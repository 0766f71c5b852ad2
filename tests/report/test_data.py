"""A report serialises to exactly the contract's `result`."""

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from alignment.activations import Activations, Origin
from alignment.calibration import Calibration
from alignment.comparison import Scoring, score
from alignment.metrics import parse_metrics
from alignment.report import AlignmentReport

RESULT = {"samples", "layers_a", "layers_b", "metrics", "warnings", "provenance"}
METRIC = {
    "key", "name", "params", "range", "grid", "null_mean_grid", "calibrated_grid", "p_grid", "null_method", "best",
}  # fmt: skip
BEST = {"layer_a", "layer_b", "score", "interval", "null_mean", "null_threshold", "calibrated", "p_value"}
WARNING = {"code", "detail", "side", "layer"}
PROVENANCE = {"model_a", "model_b", "device", "dtype", "versions", "seed", "request"}


@pytest.fixture
def report(noise: Callable[..., np.ndarray]) -> AlignmentReport:
    x = torch.from_numpy(noise(0))
    a = Activations(("l0", "l1"), (x, torch.ones(40, 6)), None, Origin("fake:a", "f" * 64))
    b = Activations(("l0", "l1", "l2"), (x, x.square(), torch.from_numpy(noise(1))), None, Origin("fake:b", "e" * 64))
    return score(a, b, Scoring(parse_metrics(["mutual_knn", "cka:kernel=rbf"]), calibration=Calibration(19, 0)))


def leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        assert all(type(key) is str for key in value)
        return [leaf for item in value.values() for leaf in leaves(item)]
    return [leaf for item in value for leaf in leaves(item)] if isinstance(value, list) else [value]


def test_the_fields_are_the_contracts(report: AlignmentReport) -> None:
    result = report.to_dict()
    assert set(result) == RESULT
    assert set(result["provenance"]) >= PROVENANCE
    assert all(set(result["provenance"][side]) >= {"fingerprint", "reference"} for side in ("model_a", "model_b"))
    for metric in result["metrics"]:
        assert set(metric) == METRIC
        assert set(metric["best"]) == BEST
    assert {frozenset(warning) for warning in result["warnings"]} == {frozenset(WARNING)}


def test_it_is_plain_json_without_nan(report: AlignmentReport) -> None:
    result = report.to_dict()
    assert {type(leaf) for leaf in leaves(result)} <= {str, int, float, bool, type(None)}
    assert all(math.isfinite(leaf) for leaf in leaves(result) if isinstance(leaf, float))
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_a_report_comes_back_from_its_json(report: AlignmentReport) -> None:
    result = json.loads(json.dumps(report.to_dict()))
    assert AlignmentReport.from_dict(result).to_dict() == result


def test_grids_are_row_a_column_b_and_null_where_they_have_no_meaning(report: AlignmentReport) -> None:
    for metric in report.to_dict()["metrics"]:
        for name in ("grid", "null_mean_grid", "calibrated_grid", "p_grid"):
            assert [len(row) for row in metric[name]] == [3, 3]
            assert metric[name][1] == [None] * 3  # the constant layer
            assert None not in metric[name][0]
        assert metric["best"]["score"] == max(metric["grid"][0]) == pytest.approx(1)
        assert (metric["best"]["layer_a"], metric["best"]["layer_b"]) == ("l0", "l0")
    (warning,) = report.warnings
    assert (warning.code, warning.side, warning.layer) == ("constant_layer", "a", "l1")


def test_a_key_tells_one_choice_of_parameters_from_another(report: AlignmentReport) -> None:
    assert [metric.key for metric in report.metrics] == ["mutual_knn", "cka:kernel=rbf"]
    assert report.metric("cka:kernel=rbf").params == {"kernel": "rbf", "bandwidth": 1.0}
    with pytest.raises(KeyError):
        report.metric("cka")


def test_nothing_defined_is_no_best(noise: Callable[..., np.ndarray]) -> None:
    flat = Activations(("l0",), (torch.ones(40, 2),), None, Origin("fake:flat", "0"))
    result = score(flat, flat, Scoring(calibration=Calibration(19, 0))).to_dict()
    assert result["metrics"][0]["best"] is None
    assert result["metrics"][0]["grid"] == [[None]]
    assert {warning["side"] for warning in result["warnings"]} == {"a", "b"}

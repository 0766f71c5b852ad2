"""score() takes whatever precision the files have."""

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import torch

from alignment.activations import Activations, Origin
from alignment.calibration import Calibration
from alignment.comparison import Scoring, score
from alignment.metrics import parse_metrics
from alignment.preprocessing import Preprocessing


@pytest.mark.parametrize("budget", [1 << 30, 1])
@pytest.mark.parametrize("dtypes", [("float32", "float64"), ("float64", "float16")])
def test_sides_and_layers_of_different_precision_are_compared(budget: int, dtypes: tuple[str, str]) -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(30, 4))
    values = [torch.tensor(v).to(getattr(torch, dtypes[i])) for i, v in enumerate((x, x + draw.normal(size=x.shape)))]
    a = Activations(("l",), (values[0],), None, Origin("a", "0"))
    b = Activations(("l", "m"), (values[1], values[0]), None, Origin("b", "0"))
    wide = replace(b, values=tuple(value.double() for value in b.values))
    rbf = ["cka:kernel=rbf"] * (budget > 1)  # which has no features to fall back on
    metrics = parse_metrics(["mutual_knn", "cka", "unbiased_cka", *rbf])
    scoring = Scoring(metrics, calibration=Calibration(5, 20), preprocess=Preprocessing(clip=None), budget=budget)
    double = score(replace(a, values=(values[0].double(),)), wide, scoring)
    for mixed, whole in zip(score(a, b, scoring).metrics, double.metrics, strict=True):
        assert mixed.grid[0] == pytest.approx(whole.grid[0], abs=1e-5)


@pytest.mark.parametrize("items", [3, 4, 9, 11, 12])
def test_metrics_with_too_few_items_are_null_with_the_reason_and_the_others_as_they_are_alone(items: int) -> None:
    x = torch.tensor(np.random.default_rng(0).normal(size=(items, 3)))
    side = Activations(("l",), (x,), None, Origin("a", "0"))
    metrics = parse_metrics(["all"])
    plain = Scoring(metrics, calibration=Calibration(5, 0), preprocess=Preprocessing(clip=None))
    report = score(side, side, plain)
    assert [result.key for result in report.metrics] == [choice.key for choice in metrics]
    for choice, result in zip(metrics, report.metrics, strict=True):
        reasons = [w.detail for w in report.warnings if w.code == "too_few_items" and w.detail.startswith(choice.key)]
        if items < choice.least_items:
            assert (result.grid, result.best, result.null_mean_grid, result.null_method) == (
                ((None,),),
                None,
                None,
                None,
            )
            assert reasons == [
                f"{choice.key} has no score: it needs at least {choice.least_items} items, and there are {items}"
            ]
        else:
            assert not reasons
            assert result == score(side, side, replace(plain, metrics=(choice,))).metrics[0]
    told = [w.detail for w in report.warnings if w.code != "too_few_items"]
    few = [choice.key for choice in metrics if items < choice.least_items]
    assert not [key for key in few if any(key in detail.replace("unbiased_cka", "") for detail in told)]


@pytest.mark.parametrize(("asked", "looks"), [(("mutual_knn", "cka", "unbiased_cka"), 1), (("rsa", "procrustes"), 0)])
def test_items_that_are_there_twice_are_looked_for_once(
    asked: tuple[str, ...], looks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    module = import_module("alignment.comparison.score")  # the package has its function by that name
    monkeypatch.setattr(module, "copies", lambda layers: seen.append(len(layers)))
    x = torch.randn(40, 5, generator=torch.Generator().manual_seed(0))
    side = Activations(("only",), (x,), None, Origin("x", "0"))
    score(side, side, Scoring(metrics=parse_metrics(asked), calibration=Calibration(permutations=0, resamples=20)))
    assert seen == [2] * looks

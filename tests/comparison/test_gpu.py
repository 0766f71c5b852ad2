"""score() on a GPU, one that is there or one that is pretended, gives the report that it gives on the CPU."""

import numpy as np
import torch

from alignment.activations import Activations, Origin
from alignment.calibration import Calibration
from alignment.comparison import Scoring, score
from alignment.metrics import METRICS, parse_metrics
from tests.metrics.support import stacks

SPELT = ("cka:kernel=rbf", "unbiased_cka:kernel=rbf,bandwidth=0.5", "mutual_knn:k=60", "lcs_knn:k=60")
UNRANKED = ("rsa:correlation=pearson", "rsa:correlation=pearson,dissimilarity=correlation")
PERMUTATIONS = 4


def activations(layers, name, dtype):
    values = tuple(torch.tensor(x).to(dtype) for x in layers)
    return Activations(tuple(f"layer.{i}" for i in range(len(values))), values, None, Origin(name, "0"))


def sides(dtype=torch.float32):
    """Two models of 90 items, of which some are the same point and one layer of the second has no meaning."""
    a, b = stacks(90, 12, 20, layers=(3, 2), seed=61)
    a[0][40:60] = a[0][40]
    a[1][:2] = 0
    broken = b[1].copy()
    broken[3, 4] = np.nan
    return activations(a, "a", dtype), activations([*b, broken, np.ones((90, 5))], "b", dtype)


def reports(a, b, device, **asked):
    calibration = Calibration(PERMUTATIONS, 20)
    return [score(a, b, Scoring(device=where, calibration=calibration, **asked)) for where in ("cpu", device)]


def near(one, other, apart):
    one, other = np.array(one, dtype=float), np.array(other, dtype=float)  # None is NaN
    np.testing.assert_allclose(other, one, atol=apart, rtol=0)


def alike(here, there):
    assert [(w.code, w.side, w.layer) for w in here.warnings] == [(w.code, w.side, w.layer) for w in there.warnings]
    for one, other in zip(here.metrics, there.metrics, strict=True):
        apart = 2 * METRICS[one.name].tolerance + 1e-9
        near(one.grid, other.grid, apart)
        assert one.null_method == other.null_method
        assert (one.best is None) == (other.best is None)
        if one.null_method is None:
            continue
        near(one.null_mean_grid, other.null_mean_grid, apart)
        near(one.calibrated_grid, other.calibrated_grid, 100 * apart)
        near(one.p_grid, other.p_grid, 1.01 / (PERMUTATIONS + 1))  # one null score may be as near as rounding
        assert (one.best.interval is None) == (other.best.interval is None)
        if one.best.interval is not None:
            near(one.best.interval, other.best.interval, 10 * apart)


def test_every_field_is_there(gpu):
    here, there = reports(*sides(), str(gpu), metrics=parse_metrics(["all", *SPELT, *UNRANKED]))
    alike(here, there)
    assert there.provenance["device"] == "cuda:0"


def test_of_halves_too(gpu):
    alike(*reports(*sides(torch.bfloat16), str(gpu), metrics=parse_metrics(["mutual_knn", "cka", "cknna", "svcca"])))


def test_in_tiles_too(gpu):
    metrics = parse_metrics([*METRICS, *SPELT[:2], *UNRANKED])
    alike(*reports(*sides(), str(gpu), metrics=metrics, budget=20_000))


def test_a_few_wide_layers_go_through_their_features(gpu):
    a, b = stacks(400, 6, 9, layers=(2, 1), seed=62)
    metrics = parse_metrics(["mutual_knn", "cka", "unbiased_cka", "procrustes", "pwcca", "linear_predictivity"])
    one, other = activations(a, "a", torch.float32), activations(b, "b", torch.float32)
    alike(*reports(one, other, str(gpu), metrics=metrics, budget=60_000))


def test_again_it_gives_the_same_to_the_last_bit(gpu):
    metrics = parse_metrics(["mutual_knn", "cycle_knn", "cknna", "cka", "unbiased_cka", "rsa"])
    asked = Scoring(metrics=metrics, device=str(gpu), calibration=Calibration(PERMUTATIONS, 20))
    one, other = (score(*sides(), asked) for _ in range(2))
    assert one.metrics == other.metrics

"""Values of independent implementations, on the deterministic pairs of tests/golden/pairs.py.

Which of them are good for a metric was found by comparing them: those here agree with one another, or are the only ones
and agree with the oracle. Left out: svcca (drawn at random, or another definition), pwcca (.643, .616 and .690 for one
pair), cca (likewise), and values in float32. `platonic_rep` keeps an epsilon of 1e-6 in the denominators of its CKAs.
"""

from __future__ import annotations

import hashlib
import json
import math
from functools import cache
from pathlib import Path

import pytest
import torch

from alignment.activations import Activations, Origin
from alignment.calibration import Calibration
from alignment.comparison import Scoring, score
from alignment.metrics import METRICS, parse_metrics
from alignment.preprocessing import Preprocessing
from tests.golden import pairs

GOLDEN = json.loads((Path(pairs.__file__).parent / "golden.json").read_text())["pairs"]
PAIRS = ("p1", "p3", "p5")
STEPS = {
    "raw": Preprocessing(clip=None, normalize=False),
    "l2": Preprocessing(clip=None, normalize=True),
    "clamp95_exact_l2": Preprocessing(clip=0.95, normalize=True),
}
CLIPPED = "clamp95_exact_l2"
FINE, CLIPPED_UNBIASED = 1e-6, 1e-3
CKNNA = {5: 1e-3, 10: 4e-4}  # fewer neighbours, smaller denominators
NO_AGREEING_VALUES = {"svcca", "pwcca", "linear_predictivity"}


def same(value):
    return value


def per_k(k):
    return lambda value: value / k


def from_distance(value):
    return 1 - value**2 / 2  # of shapes of unit size


# key, implementation, its name for it, what turns it into ours, the tolerance, the variants
EITHER, ALL = ("raw", "l2"), ("raw", "l2", CLIPPED)
VALUES = [
    *[
        (f"{name}{':k=5' if k == 5 else ''}", "platonic_rep_f64", f"{name}_k{k}", read, tolerance, EITHER)
        for k in (5, 10)
        for name, read, tolerance in (
            ("mutual_knn", same, FINE),
            ("cycle_knn", same, FINE),
            ("lcs_knn", per_k(k), FINE),
            ("edit_distance_knn", same, FINE),
            ("cknna", same, CKNNA[k]),
        )
    ],
    *[
        (name, "platonic_rep_f64", name, read, tolerance, (CLIPPED,))
        for name, read, tolerance in (
            ("mutual_knn", same, FINE),
            ("cycle_knn", same, FINE),
            ("lcs_knn", per_k(10), FINE),
            ("edit_distance_knn", same, FINE),
            ("cknna", same, CKNNA[10]),
            ("cka", same, FINE),
            ("unbiased_cka", same, CLIPPED_UNBIASED),
        )
    ],
    # the other neighbour searches take the cosine, which is the inner product of unit rows
    ("mutual_knn", "platonic_universe", "mknn_k10", same, FINE, ("l2",)),
    ("mutual_knn:k=5", "platonic_universe", "mknn_k5", same, FINE, ("l2",)),
    ("jaccard_knn", "resi", "jaccard_k10", same, FINE, ("l2",)),
    ("jaccard_knn", "platonic_universe", "jaccard_k10", same, FINE, ("l2",)),
    ("jaccard_knn:k=5", "platonic_universe", "jaccard_k5", same, FINE, ("l2",)),
    ("cka", "platonic_rep_f64", "cka", same, FINE, EITHER),
    ("cka", "ckatorch", "cka_linear", same, FINE, EITHER),
    ("cka", "aristotelian", "rv_coefficient", same, FINE, EITHER),  # of centred features it is linear CKA
    ("cka", "repsim_pypi_kisungyou", "linear_gretton", same, FINE, EITHER),
    ("cka", "netrep", "LinearCKA_angle", math.cos, FINE, EITHER),
    ("cka", "rsatoolbox", "cosine_cov(whitened, == linear CKA)", same, FINE, EITHER),
    ("cka", "platonic_universe", "cka", same, FINE, EITHER),
    ("cka", "resi", "cka", same, FINE, EITHER),
    ("unbiased_cka", "ckatorch", "cka_linear_unbiased", same, FINE, EITHER),
    ("unbiased_cka", "ckatorch", "cka_hsic1_onebatch", same, FINE, EITHER),
    ("unbiased_cka", "pytorch_cka", "cka_linear_unbiased", same, FINE, EITHER),
    ("unbiased_cka", "cka_pytorch", "cka_linear_unbiased", same, FINE, EITHER),
    ("cka:kernel=rbf", "ckatorch", "cka_rbf_thr1", same, FINE, EITHER),
    ("cka:kernel=rbf", "aristotelian", "cka_rbf", same, FINE, EITHER),
    ("rsa", "rsatoolbox", "rsa_sqeuclid_spearman", same, FINE, EITHER),
    ("rsa", "resi", "rsa_euclid_spearman", same, FINE, EITHER),
    ("rsa", "platonic_universe", "rsa_spearman_euclid", same, FINE, EITHER),
    ("rsa", "platonic_universe", "rsa_spearman_cosine", same, FINE, ("l2",)),
    ("rsa:correlation=pearson", "rsatoolbox", "rsa_sqeuclid_pearson", same, FINE, EITHER),
    ("rsa:dissimilarity=correlation", "rsatoolbox", "rsa_correlation_spearman", same, FINE, EITHER),
    ("rsa:dissimilarity=correlation", "resi", "rsa_correlation_spearman", same, FINE, EITHER),
    ("procrustes", "netrep", "LinearMetric_alpha1_angular", math.cos, FINE, EITHER),
    ("procrustes", "resi", "orthogonal_angular_shape_metric_centered", math.cos, FINE, EITHER),
    ("procrustes", "resi", "orthogonal_procrustes_centered_normalized", from_distance, FINE, EITHER),
]
CASES = [
    pytest.param(pair, variant, *row[:5], id=f"{pair}-{variant}-{row[0]}-{row[1]}-{row[2]}")
    for row in VALUES
    for variant in row[5]
    for pair in PAIRS
]


@cache
def ours(pair, variant, *, reverse=False):
    """Every score wanted of one pair."""
    sides = [
        Activations(("only",), (torch.from_numpy(values),), None, Origin(f"{pair}{side}", ""))
        for side, values in zip("XY", pairs.make(pair), strict=True)
    ]
    wanted = parse_metrics(dict.fromkeys(row[0] for row in VALUES))
    scoring = Scoring(metrics=wanted, preprocess=STEPS[variant], calibration=Calibration(0, 0), device="cpu")
    report = score(*(reversed(sides) if reverse else sides), scoring)
    return {result.key: result.grid[0][0] for result in report.metrics}


@pytest.mark.parametrize("pair", PAIRS)
def test_the_pairs_are_those_that_the_values_were_made_from(pair):
    for side, values in zip("XY", pairs.make(pair), strict=True):
        assert hashlib.sha256(values.tobytes()).hexdigest() == GOLDEN[pair][f"sha256_{side}_f32"]


def test_no_metric_is_left_out_unsaid():
    assert set(METRICS) - {row[0].partition(":")[0] for row in VALUES} == NO_AGREEING_VALUES


@pytest.mark.parametrize(("pair", "variant", "key", "implementation", "name", "read", "tolerance"), CASES)
def test_the_score_is_theirs(pair, variant, key, implementation, name, read, tolerance):
    theirs = GOLDEN[pair][variant][implementation][name]
    assert ours(pair, variant)[key] == pytest.approx(read(theirs), abs=tolerance, rel=0)


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("variant", ["raw", "l2"])
@pytest.mark.parametrize("key", ["mutual_knn", "cycle_knn"])
def test_the_score_the_other_way_round_is_theirs(pair, variant, key):
    theirs = GOLDEN[pair][variant]["platonic_rep_f64"][f"{key}_reverse_k10"]
    assert ours(pair, variant, reverse=True)[key] == pytest.approx(theirs, abs=FINE, rel=0)


def test_a_shape_distance_of_rotations_is_as_near_zero_as_theirs():
    for variant in ("raw", "l2"):
        theirs = GOLDEN["p5"][variant]["netrep"]["LinearMetric_alpha1_angular"]
        assert math.acos(min(1, ours("p5", variant)["procrustes"])) == pytest.approx(theirs, rel=1e-3)

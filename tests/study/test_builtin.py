"""A real study: four pretrained models, two of text and two of images, on emoji."""

import pytest

from alignment.calibration import Calibration
from alignment.comparison import Scoring
from alignment.metrics import parse_metrics
from alignment.study import Study, study


@pytest.mark.weights
def test_models_of_one_modality_agree_more_than_across_and_across_more_than_chance():
    models = ("builtin:minilm-l6", "builtin:efficientnet-lite0", "builtin:minilm-l3", "builtin:efficientnet-lite1")
    scoring = Scoring(metrics=parse_metrics(["mutual_knn:k=5"]), calibration=Calibration(99, 0), device="cpu")
    found = study(Study(models, "builtin:emoji", scoring, layers="last", samples=50)).metrics[0]
    assert {frozenset(group) for group in found.clusters.groups} == {frozenset(models[::2]), frozenset(models[1::2])}
    text, vision = found.matrix[0][2], found.matrix[1][3]
    across = [found.matrix[a][b] for a in (0, 2) for b in (1, 3)]
    assert min(text, vision) > max(across) + 0.1
    assert vision > 0.4
    assert all(found.q_value[a][b] <= 0.05 for a in (0, 2) for b in (1, 3))

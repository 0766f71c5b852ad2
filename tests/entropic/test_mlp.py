"""The recipe `mlp`: views, data, defaults by the kind of data, and what it reports."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from alignment.entropic.calibrated import calibrated
from alignment.entropic.chance import generator, normal, orthogonal
from alignment.entropic.classroom import classroom
from alignment.entropic.kernels import kernel_alignment
from alignment.entropic.recipes import TrainingRequest, train
from alignment.entropic.recipes.mlp import MlpRecipe
from alignment.entropic.views import View
from alignment.errors import TrainingError, UnknownNameError
from tests.entropic.broken_off import broken_off


@pytest.mark.parametrize("kind", ["linear", "projection"])
def test_an_invertible_view_keeps_the_items_apart_and_is_each_members_own(kind: str) -> None:
    items = normal(generator(0, "items"), 30, 9)
    view = View.parse(kind)
    seen = view.see(items, 0, "a")
    assert int(torch.linalg.matrix_rank(seen)) == 9
    assert torch.equal(seen, view.see(items, 0, "a"))
    assert not torch.equal(seen, view.see(items, 0, "b"))
    torch.testing.assert_close(torch.linalg.lstsq(seen, items).solution.T @ seen.T, items.T)
    if kind == "projection":
        torch.testing.assert_close(seen @ seen.T, items @ items.T)


def test_a_quarter_turn_moves_pixels_and_nothing_else() -> None:
    items = normal(generator(0, "items"), 4, 16)
    for quarter in range(4):
        seen = View("rotation", 90.0 * quarter).see(items, 0, "a").reshape(4, 4, 4)
        torch.testing.assert_close(seen, torch.rot90(items.reshape(4, 4, 4), quarter, (1, 2)))
    with pytest.raises(TrainingError, match="no square images"):
        View("rotation", 30.0).see(items[:, :15], 0, "a")


def test_views_are_read_or_refused() -> None:
    assert View.parse("noise") == View("noise", 0.3)
    assert View.parse("identity").see(torch.ones(2, 2), 0, "a").sum() == 4
    with pytest.raises(UnknownNameError, match="did you mean 'rotation'"):
        View.parse("rotaton:3")
    for text in ("rotation:x", "noise:-1", "noise:nan", "linear:2"):
        with pytest.raises(TrainingError, match="number"):
            View.parse(text)


def test_calibrated_scores_are_the_metrics_and_chance_is_nothing() -> None:
    x = normal(generator(0, "x"), 120, 8)
    other = normal(generator(0, "y"), 120, 8)
    found = calibrated("cka", [x], [x @ orthogonal(generator(0, "q"), 8), other], seed=0)
    exact = kernel_alignment([x], [x, other], centred=True)[0].tolist()
    assert found.score[0] == pytest.approx(exact, abs=1e-5)
    assert found.calibrated[0][0] == pytest.approx(1, abs=1e-4)
    assert found.calibrated[0][1] < 0.05 < found.score[0][1]


def test_defaults_depend_on_the_data() -> None:
    teacher = MlpRecipe.of(TrainingRequest("mlp")).request
    assert (teacher.data, teacher.strength, teacher.labels, teacher.view_a) == ("teacher", 0.1, "true", "linear")
    digits = MlpRecipe.of(TrainingRequest("mlp", data="digits")).request
    assert (digits.strength, digits.labels, digits.weight_decay) == (0.05, "sampled", 1e-3)
    plain = MlpRecipe.of(TrainingRequest("mlp", "plain", data="digits")).request
    assert (plain.strength, plain.weight_decay) == (None, 0.0)


@pytest.mark.parametrize("objective", ["plain", "entropic"])
@pytest.mark.parametrize("data", ["teacher", "digits"])
def test_a_pair_learns_and_is_reported(objective: str, data: str) -> None:
    result = train(TrainingRequest("mlp", objective, steps=300, seed=5, data=data))  # type: ignore[arg-type]
    found = result.to_dict({"a": None, "b": None})
    assert found["prediction"] is None
    assert found["alignment"]["measure"] == "cka"
    assert np.array(found["alignment"]["grid"]).shape == (2, 2)
    assert 0 < found["alignment"]["cka_matched_depth"] <= 1
    assert 0 < found["alignment"]["outputs"] <= 1
    assert found["balance"]["layer"] is None  # biases: no law
    assert result.history[-1].loss[0] < result.history[0].loss[0] / 2
    accuracy = found["task"]["a"]["accuracy"]
    assert accuracy is None if data == "teacher" else accuracy > 0.9
    assert [w.code for w in result.warnings] == ["sampled_labels"] * (objective == "entropic" and data == "digits")
    assert len(result.probe["a"]) == len(result.probe["b"])


def test_the_entropy_may_be_that_of_whole_batches() -> None:
    asked = TrainingRequest("mlp", steps=100, strength=1.0, estimator="finite_difference")
    batches, rows = (train(replace(asked, estimator=kind)) for kind in ("finite_difference", "ghost_norm"))
    plain = train(TrainingRequest("mlp", "plain", steps=100))
    assert batches.provenance["request"]["estimator"] == "finite_difference"
    ends = {result.history[-1].loss for result in (batches, rows, plain)}
    assert len(ends) == 3
    assert -1 <= plain.history[-1].calibrated <= 1


def test_a_killed_pair_goes_on_to_the_same_bits() -> None:
    request = TrainingRequest("mlp", steps=300, seed=5, data="digits")
    assert broken_off(lambda keeper: train(request, keeper)).history == train(request).history


def test_a_users_rows(tmp_path) -> None:
    random = np.random.default_rng(0)
    path = tmp_path / "rows.npz"
    x = random.normal(size=(80, 5))
    np.savez(path, a=x, b=x @ random.normal(size=(5, 6)), target=(x[:, 0] > 0).astype(int))
    result = train(TrainingRequest("mlp", steps=100, data=str(path), view_a="identity", view_b="noise:0.1"))
    assert result.members[1].network.config.widths == (6, 64, 64, 2)
    np.savez(path, x=x, y=x)
    assert train(TrainingRequest("mlp", steps=100, data=str(path))).members[0].accuracy is None
    np.savez(path, x=x[:30], y=x[:30])
    with pytest.raises(TrainingError, match="30 rows are too few"):
        classroom(str(path), 0)
    np.savez(path, x=x, target=np.arange(80) - 1)
    with pytest.raises(TrainingError, match="number them from 0"):
        classroom(str(path), 0)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"optimizer": "lbfgs"}, "trained by adam"),
        ({"data": "digit"}, "did you mean 'digits'"),
        ({"data": "nowhere.npz"}, "there is no file"),
        ({"labels": "sampled"}, "where the targets are classes"),
        ({"view_a": "turn"}, "there is no view"),
    ],
)
def test_what_cannot_be_asked_is_refused(options: dict, match: str) -> None:
    with pytest.raises((TrainingError, UnknownNameError), match=match):
        train(TrainingRequest("mlp", **options))


@pytest.mark.parametrize(("row", "column", "told"), [(0, None, "hidden.1 of a"), (None, 1, "hidden.2 of b")])
def test_a_layer_in_which_all_items_are_one_point_is_named(
    row: int | None, column: int | None, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def collapsed(metric: str, a: list[torch.Tensor], b: list[torch.Tensor], **asked: object) -> object:
        a, b = [layer.clone() for layer in a], [layer.clone() for layer in b]
        for side, place in ((a, row), (b, column)):
            if place is not None:
                side[place][:] = 1.0
        return calibrated(metric, a, b, **asked)  # type: ignore[arg-type]

    monkeypatch.setattr("alignment.entropic.recipes.mlp.calibrated", collapsed)
    result = train(TrainingRequest(recipe="mlp", steps=2))
    assert [warning.code for warning in result.warnings] == ["constant_layer"]
    assert told in result.warnings[0].detail
    assert np.isnan(result.lowest)
    assert np.isnan(result.mean)

"""Towers and the recipe `transformer`: the network's laws, what is refused, resuming, and that the pair loads."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from alignment.entropic.balance import balance
from alignment.entropic.emoji_groups import GROUPS, group_of
from alignment.entropic.estimators import FiniteDifference
from alignment.entropic.initial import tower_network
from alignment.entropic.loss import EntropicLoss
from alignment.entropic.problem import Problem, cross_entropy, square_error
from alignment.entropic.rebalance import rebalance
from alignment.entropic.recipes import TrainingRequest, train
from alignment.entropic.recipes.result import TrainingResult
from alignment.entropic.recipes.transformer import TransformerRecipe
from alignment.entropic.sampling import Sampling
from alignment.entropic.training.checkpoint import pack, unpack
from alignment.entropic.training.minibatch import Minibatch
from alignment.entropic.training.trainee import Trainee
from alignment.errors import DivergenceError, ModelError, TrainingError, UnknownNameError
from alignment.models import TowerConfig, letters, load_encoder, open_own, own_files, pixels
from alignment.references import ModelRef
from tests.entropic.towers import agree, goes_on

IMAGE = TowerConfig("image", 8, 2, 2, 3, side=8, patch=4)
TEXT = TowerConfig("text", 8, 2, 2, 3, alphabet="abcdefgh", length=6)
REQUEST = TrainingRequest("transformer", steps=50, seed=5)
NAMES = ["cab", "a", "bead", "fade a", "", "hgfedc!"]
pytestmark = pytest.mark.usefixtures("quick_towers")


def problem(config: TowerConfig) -> Problem:
    """Six random items of a tiny tower in float64, with weights large enough to tell it from a linear one."""
    random = torch.Generator().manual_seed(0)
    x = torch.randn(6, IMAGE.inputs, generator=random).double() if config == IMAGE else letters(NAMES, TEXT)
    tower = tower_network(config, 0, "a").double()
    with torch.no_grad():
        for parameter in tower.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=random, dtype=torch.float64))
    return Problem(tower, cross_entropy, x, torch.tensor([0, 1, 2, 2, 1, 0]))


def test_emoji_have_groups_and_a_quarter_is_held_out(emoji) -> None:
    assert [group_of(item) for item in ("U+1F600", "U+1F415", "U+1F355", "U+1F3C1")] == [
        "smileys",
        "nature",
        "food",
        None,
    ]
    assert len(emoji.groups) == 1165
    assert torch.bincount(emoji.groups).min() > 70
    assert int(emoji.groups.max()) == len(GROUPS) - 1
    assert int(emoji.held.sum()) == round(len(emoji.held) / 4)


@pytest.mark.parametrize("config", [IMAGE, TEXT], ids=["image", "text"])
def test_estimators_agree_with_the_oracle(config: TowerConfig) -> None:
    here = problem(config)
    agree(here)


@pytest.mark.parametrize("config", [IMAGE, TEXT], ids=["image", "text"])
def test_its_units_and_heads_have_the_symmetries_of_balance(config: TowerConfig) -> None:
    here = problem(config)
    found = balance(here)
    assert [unit.place for unit in found.units] == ["blocks.0.units.0", "blocks.1.units.0"]
    assert [pair.kind for pair in found.heads] == ["query_key", "value_output"] * 2
    assert not found.absent
    before = here.model(here.inputs)
    assert rebalance(here).after.neuron < 1e-8
    torch.testing.assert_close(here.model(here.inputs), before)


def test_padding_changes_nothing() -> None:
    tower = problem(TEXT).model
    longer = letters(["cab"], replace(TEXT, length=6))
    with torch.no_grad():
        tower.places[:, 3:] = 100.0  # where no letter is
        kept = tower(longer)
        tower.places[:, 3:] = -7.0
        assert torch.equal(tower(longer), kept)


@pytest.mark.parametrize("masked", [False, True], ids=["category", "masked"])
@pytest.mark.parametrize("config", [IMAGE, TEXT], ids=["image", "text"])
def test_a_saved_tower_is_the_same_encoder(config: TowerConfig, masked: bool, tmp_path) -> None:
    config = replace(config, masked=masked)
    tower = tower_network(config, 3, "a")
    for name, content in own_files(tower).items():
        (tmp_path / name).write_bytes(content)
    encoder = load_encoder(ModelRef.parse(f"path:{tmp_path}"))
    assert [layer.name for layer in encoder.layers] == ["block.1", "block.2"]
    if config.modality == "image":
        random = np.random.default_rng(0)
        items = [Image.fromarray(random.integers(0, 256, (20, 20, 3)).astype(np.uint8)) for _ in range(3)]
        x = torch.stack([pixels(item, config.side) for item in items]).flatten(1)
    else:
        items, x = NAMES, letters(NAMES, config)
    for seen, own in zip(encoder.encode(items, "mean"), tower.hidden(x), strict=True):
        torch.testing.assert_close(seen, own.detach())
    (tmp_path / "config.json").write_text(json.dumps({**config.to_dict(), "width": 16}))
    with pytest.raises(ModelError, match="not those of its config"):
        open_own(tmp_path, "it")
    (tmp_path / "config.json").write_text(json.dumps({**config.to_dict(), "heads": 3}))
    with pytest.raises(ModelError, match="cannot have 3 heads"):
        open_own(tmp_path, "it")


@pytest.mark.parametrize("method", ["adam", "adamw", "sgd"])
def test_every_method_goes_on_to_the_same_bits(method: str) -> None:
    here = problem(TEXT)

    def trainee() -> Trainee:
        loss = EntropicLoss(0.05, 0.1, FiniteDifference(), Sampling(4))
        stage = Minibatch(9, 1e-2, loss, cross_entropy, here.inputs, here.targets, batch=4, method=method)  # type: ignore[arg-type]
        return Trainee("a", tower_network(TEXT, 0, "a"), [stage], 3, "")

    whole, stopped, resumed = trainee(), trainee(), trainee()
    while not whole.done:
        whole.advance()
    stopped.advance()
    resumed.restore(unpack(pack(stopped.state()), "memory"))
    while not resumed.done:
        resumed.advance()
    assert all(torch.equal(p, q) for p, q in zip(resumed.model.parameters(), whole.model.parameters(), strict=True))


def test_adamw_shrinks_weights_beside_the_gradients_step() -> None:
    nothing = torch.zeros(4, 1).double()  # no gradient of the weight
    for method, left in (("adamw", 1 - 2 * 5.0 * 1e-3), ("sgd", 1 - 2 * 5.0 * 1e-3), ("adam", 1 - 1e-3)):
        model = torch.nn.Linear(1, 1, bias=False).double()
        torch.nn.init.ones_(model.weight)
        stage = Minibatch(1, 1e-3, EntropicLoss(0.0, 5.0), square_error, nothing, nothing, method=method)  # type: ignore[arg-type]
        stage.begin(model).advance(0, 1)
        assert model.weight.item() == pytest.approx(left, abs=1e-9)


@pytest.fixture(scope="module")
def trained(quick_towers) -> TrainingResult:
    return train(REQUEST)


def test_a_pair_learns_and_is_reported(trained) -> None:
    found = trained.to_dict({"a": None, "b": None})
    assert found["prediction"] is None
    assert found["alignment"]["measure"] == "cka"
    assert found["alignment"]["layers_a"] == ["block.1", "block.2"]
    assert np.array(found["alignment"]["calibrated"]).shape == (2, 2)
    # Its null is below a score, so that a calibrated score is below it too.
    assert all(point["calibrated"] < point["mean"] < 1 for point in found["alignment"]["history"])
    assert found["alignment"]["history"][-1]["calibrated"] == pytest.approx(
        np.mean(found["alignment"]["calibrated"]), abs=1e-6
    )
    for point in found["alignment"]["history"]:
        assert np.mean(point["grid"]) == pytest.approx(point["mean"], abs=1e-6)
        assert np.mean(point["calibrated_grid"]) == pytest.approx(point["calibrated"], abs=1e-6)
    for name, over_time in (("grid", "grid"), ("calibrated", "calibrated_grid")):
        last = found["alignment"]["history"][-1][over_time]
        np.testing.assert_allclose(last, found["alignment"][name], atol=1e-6)
    assert 0 < found["balance"]["attention"] < 1
    assert 0 < found["balance"]["neuron"] < 1
    assert found["balance"]["layer"] is None
    assert all(0 < found["task"][m]["accuracy"] < 1 for m in "ab")
    assert all(found["task"][m]["loss"] < 2.05 for m in "ab")  # that of chance is log 8, 2.08
    assert trained.probe_name == "builtin:emoji"
    assert [m.network.config.modality for m in trained.members] == ["image", "text"]


def test_a_killed_pair_goes_on_to_the_same_bits(trained) -> None:
    goes_on(REQUEST, trained)


def test_two_towers_of_one_modality() -> None:
    request = TrainingRequest("transformer", "plain", steps=2, view_b="noise:0.5", optimizer="sgd")
    recipe = TransformerRecipe.of(request)
    assert recipe.request.estimator is None
    assert TransformerRecipe.of(recipe.request).request == recipe.request
    result = recipe.run()
    assert [m.network.config.modality for m in result.members] == ["image", "image"]
    assert not torch.equal(result.members[0].rows.inputs, result.members[1].rows.inputs)


def test_divergence_names_the_step() -> None:
    with pytest.raises(DivergenceError, match="network a diverged at step"):
        train(TrainingRequest("transformer", steps=40, strength=1e6, optimizer="sgd"))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"optimizer": "lbfgs"}, "trained by adamw, adam or sgd"),
        ({"data": "emojis"}, "did you mean 'emoji'"),
        ({"view_a": "projection"}, "there is no view"),
        ({"view_b": "noise:x"}, "needs a number"),
        ({"estimator": "ghost"}, "there is no estimator"),
    ],
)
def test_what_cannot_be_asked_is_refused(options: dict, match: str) -> None:
    with pytest.raises((TrainingError, UnknownNameError), match=match):
        train(TrainingRequest("transformer", **options))

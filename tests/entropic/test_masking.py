"""Masked prediction: what is hidden cannot be read off the input, and is the same in all that a step computes."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from alignment.entropic.estimators import Estimator, FiniteDifference, GhostNorm
from alignment.entropic.initial import tower_network
from alignment.entropic.lesson import Lesson
from alignment.entropic.loss import EntropicLoss
from alignment.entropic.masking import Masking
from alignment.entropic.pretrained.subject import open_subject
from alignment.entropic.recipes import TrainingRequest, train
from alignment.entropic.recipes.files import model_files
from alignment.entropic.recipes.result import TrainingResult
from alignment.entropic.rows import FILE, Rows, rows_file
from alignment.entropic.sampling import Sampling
from alignment.entropic.training.minibatch import Minibatch
from alignment.errors import TrainingError
from alignment.models import TowerConfig, letters
from alignment.models.tower import LETTERS, PADDING
from tests.entropic.towers import agree, goes_on

IMAGE = TowerConfig("image", 8, 2, 2, 48, side=16, patch=4, masked=True)
TEXT = TowerConfig("text", 8, 2, 2, 10, alphabet="abcdefgh", length=9, masked=True)
NAMES = ["cab", "a", "bead fade", "fade a", "hgfedcba", "abc def"]
REQUEST = TrainingRequest("transformer", steps=50, seed=5, task="masked")
BOTH = pytest.mark.parametrize("config", [IMAGE, TEXT], ids=["image", "text"])


def items(config: TowerConfig) -> Tensor:
    if config == TEXT:
        return letters(NAMES, TEXT)
    return torch.rand(6, IMAGE.inputs, generator=chance()).double() * 2 - 1


def chance() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def asked(config: TowerConfig) -> Tensor:
    """The places that are hidden, `[b, t]`."""
    _, targets = Masking(config).hide(items(config), chance())
    return targets != -100 if config == TEXT else ~targets.isnan().any(2)


def lesson(config: TowerConfig) -> Lesson:
    """A tower in float64 with weights large enough to tell it from a linear one."""
    tower = tower_network(config, 0, "a").double()
    with torch.no_grad():
        for parameter in tower.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=chance(), dtype=torch.float64))
    return Lesson(tower, 0, "a")


@BOTH
def test_a_share_of_the_places_is_hidden_and_asked_for(config: TowerConfig) -> None:
    hidden = asked(config)
    whole = items(config)
    _, targets = Masking(config).hide(whole, chance())
    if config == IMAGE:
        assert hidden.sum(1).tolist() == [8] * 6
        tiles = whole.reshape(6, 3, 4, 4, 4, 4).permute(0, 2, 4, 1, 3, 5).reshape(6, 16, 48)
        assert torch.equal(targets[hidden], tiles[hidden])
        assert targets[~hidden].isnan().all()
    else:
        assert hidden.sum(1).tolist() == [1, 1, 2, 2, 2, 2]  # a quarter of 3, 1, 9, 6, 8 and 7 letters, one at least
        assert not hidden[whole == PADDING].any()
        assert torch.equal(targets[hidden], whole[hidden])
    other = Masking(config).hide(whole, torch.Generator().manual_seed(4))[1]
    assert not torch.equal(other.nan_to_num(), targets.nan_to_num())


@BOTH
def test_the_input_does_not_depend_on_what_is_hidden(config: TowerConfig) -> None:
    hidden, whole = asked(config), items(config)
    if config == IMAGE:
        pixels = hidden.reshape(6, 1, 4, 4).repeat_interleave(4, 2).repeat_interleave(4, 3).expand(-1, 3, -1, -1)
        other = torch.where(pixels.reshape(6, -1), -whole, whole)
    else:
        other = torch.where(hidden, (whole - LETTERS + 3) % 8 + LETTERS, whole)
    (one, answers), (two, others) = (Masking(config).hide(x, chance()) for x in (whole, other))
    assert torch.equal(one.nan_to_num(9.0), two.nan_to_num(9.0))
    assert not torch.equal(answers.nan_to_num(9.0), others.nan_to_num(9.0))
    tower = lesson(config).tower
    assert torch.equal(tower(one), tower(two))
    assert tower(one).isfinite().all()
    # The rest of the item is seen at what is hidden.
    seen = one.flip(0) if config == TEXT else torch.where(one.isnan(), one, -one)
    assert not torch.equal(tower(seen)[hidden], tower(one)[hidden])


def test_a_hidden_patch_is_no_grey_one() -> None:
    tower, whole = lesson(IMAGE).tower, items(IMAGE)
    hidden, _ = Masking(IMAGE).hide(whole, chance())
    assert not torch.equal(tower(hidden), tower(hidden.nan_to_num(0.0)))


@BOTH
def test_the_loss_is_of_what_is_hidden_alone(config: TowerConfig) -> None:
    here = lesson(config).problem(Rows(items(config), torch.zeros(6).long()))
    hidden = here.targets != -100 if config == TEXT else ~here.targets.isnan().any(2)
    outputs = here.model(here.inputs).detach().requires_grad_()
    here.losses(outputs, here.targets).sum().backward()
    assert outputs.grad is not None
    assert torch.equal(outputs.grad.abs().sum(2) > 0, hidden)


@BOTH
def test_estimators_agree_with_the_oracle(config: TowerConfig) -> None:
    here = lesson(config).problem(Rows(items(config), torch.zeros(6).long()))
    agree(here)


@BOTH
@pytest.mark.parametrize(("estimator", "looks"), [(FiniteDifference(), 2), (GhostNorm(), 1)])
def test_all_gradients_of_a_step_are_of_the_same_mask(config: TowerConfig, estimator: Estimator, looks: int) -> None:
    taught, whole, drawn = lesson(config), items(config), list[Tensor]()
    tower, seen = taught.tower, list[Tensor]()
    tower.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].nan_to_num(9.0)))

    def hide(x: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
        inputs, targets = Masking(config).hide(x, random)
        drawn.append(inputs.nan_to_num(9.0))
        return inputs, targets

    loss = EntropicLoss(0.1, 0.0, estimator, Sampling(6 if looks == 2 else 1))
    stage = Minibatch(4, 1e-3, loss, taught.loss, whole, whole, batch=6, hide=hide)
    stage.begin(tower).advance(0, 4)
    assert len(drawn) == 4
    assert len(seen) == 4 * looks
    for number, inputs in enumerate(seen):
        assert torch.equal(inputs, drawn[number // looks])
    assert not torch.equal(drawn[0], drawn[1])


@pytest.fixture(scope="module")
def trained(quick_towers) -> TrainingResult:
    return train(REQUEST)


def test_a_pair_learns_and_is_reported(trained: TrainingResult) -> None:
    found = trained.to_dict({"a": None, "b": None})
    assert found["provenance"]["request"]["task"] == "masked"
    assert found["provenance"]["hidden"] == {"image": 0.5, "text": 0.25}
    first, last = found["loss"]["history"][0], found["loss"]["history"][-1]
    assert last["a"] < 0.7 * first["a"]
    assert last["b"] < 0.95 * first["b"]
    assert found["task"]["a"]["accuracy"] is None  # pixels are numbers
    assert 1 / 30 < found["task"]["b"]["accuracy"] < 1
    assert 0 < found["task"]["a"]["loss"] < 1
    assert [len(row) for row in found["alignment"]["grid"]] == [2, 2]
    assert 0 < found["balance"]["attention"] < 1


def test_a_killed_pair_goes_on_to_the_same_bits(trained: TrainingResult) -> None:
    goes_on(REQUEST, trained)


def test_the_objectives_differ_by_the_entropy_alone(trained: TrainingResult) -> None:
    plain = train(replace(REQUEST, objective="plain"))
    assert plain.history[0] == trained.history[0]
    assert plain.history[-1] != trained.history[-1]


def test_balance_is_of_what_is_hidden(trained: TrainingResult, tmp_path: Path) -> None:
    for name, member in zip("ab", trained.members, strict=True):
        (tmp_path / name).mkdir()
        few = Rows(member.rows.inputs[:8], member.rows.targets[:8])
        for file, content in {**model_files(member), FILE: rows_file(few)}.items():
            (tmp_path / name / file).write_bytes(content)
        found = open_subject(f"path:{tmp_path / name}", side=name)
        assert found.task == "what is hidden of the items in data.npz"
        assert found.problem.losses(found.problem.model(found.problem.inputs), found.problem.targets).isfinite().all()
        assert len(found.found.heads) == 4
    content = rows_file(Rows(torch.zeros(8, 3), torch.zeros(8).long()))
    (tmp_path / "a" / FILE).write_bytes(content)
    with pytest.raises(TrainingError, match="inputs of width 3; the model takes 3072"):
        open_subject(f"path:{tmp_path / 'a'}")


def test_labels_that_are_no_classes_are_not_sampled() -> None:
    with pytest.raises(TrainingError, match="take labels true, or task category"):
        train(replace(REQUEST, labels="sampled"))
    with pytest.raises(TrainingError, match="learn the task category or masked, not numbers"):
        train(replace(REQUEST, task="numbers"))

"""Trainings: what they refuse, that a killed run goes on to the same bits, and that a diverged one names its step."""

import math
from dataclasses import replace
from itertools import groupby

import numpy as np
import pytest
import torch

from alignment.entropic.chance import generator, normal
from alignment.entropic.initial import dense_network, linear_network
from alignment.entropic.loss import EntropicLoss
from alignment.entropic.problem import Problem, cross_entropy, square_error
from alignment.entropic.recipes import TrainingRequest, train
from alignment.entropic.recipes.linear import LinearRecipe
from alignment.entropic.recipes.linear_warnings import divergence_advice
from alignment.entropic.sampling import Sampling
from alignment.entropic.sharpness import largest_eigenvalue
from alignment.entropic.training.chain import chain_gradients, largest_curvature
from alignment.entropic.training.checkpoint import pack, unpack
from alignment.entropic.training.descent import Descent
from alignment.entropic.training.keeper import FileKeeper
from alignment.entropic.training.lbfgs import Lbfgs
from alignment.entropic.training.minibatch import Minibatch
from alignment.entropic.training.trainee import Trainee
from alignment.errors import DivergenceError, TrainingError, UnknownNameError
from alignment.models import DenseConfig
from tests.entropic.broken_off import broken_off

SHORT = {
    "entropic": TrainingRequest(steps=100, seed=3),
    "plain": TrainingRequest(objective="plain", steps=3000, seed=3),
    "sgd": TrainingRequest(optimizer="sgd", steps=8000, seed=3),
}


@pytest.mark.parametrize("kind", SHORT)
@pytest.mark.parametrize("saves", [1, 3])
def test_a_killed_run_goes_on_to_the_same_bits(kind: str, saves: int) -> None:
    whole = train(SHORT[kind])
    resumed = broken_off(lambda keeper: train(SHORT[kind], keeper), saves)
    assert resumed.history == whole.history
    for one, other in zip(resumed.members, whole.members, strict=True):
        for p, q in zip(one.network.parameters(), other.network.parameters(), strict=True):
            assert torch.equal(p, q)


def test_the_seed_decides_everything() -> None:
    one, again = (train(SHORT["entropic"]).to_dict({"a": None, "b": None}) for _ in range(2))
    other = train(replace(SHORT["entropic"], seed=4)).to_dict({"a": None, "b": None})
    assert one == again
    assert one["alignment"]["grid"] != other["alignment"]["grid"]


@pytest.mark.parametrize("labels", ["true", "sampled"])
def test_adam_goes_on_to_the_same_bits(labels: str) -> None:
    random = generator(0, "rows")
    x, y = normal(random, 30, 4), torch.randint(0, 3, (30,), generator=random)

    def trainee() -> Trainee:
        stage = Minibatch(60, 1e-2, EntropicLoss(0.05), cross_entropy, x, y, batch=8, labels=labels, anneal=0.1)  # type: ignore[arg-type]
        return Trainee("a", dense_network(DenseConfig((4, 6, 3)), 0, "a"), [stage], 20, "")

    whole, stopped, resumed = trainee(), trainee(), trainee()
    while not whole.done:
        whole.advance()
    stopped.advance()
    resumed.restore(unpack(pack(stopped.state()), "memory"))
    while not resumed.done:
        resumed.advance()
    assert resumed.loss == whole.loss
    assert all(torch.equal(p, q) for p, q in zip(resumed.model.parameters(), whole.model.parameters(), strict=True))


def test_an_entropic_arm_sees_the_batches_that_a_plain_one_sees() -> None:
    random = generator(0, "rows")
    x, y = normal(random, 30, 4), torch.randint(0, 3, (30,), generator=random)

    def batches(strength: float, labels: str) -> list[list[list[float]]]:
        seen: list[list[list[float]]] = []
        network = dense_network(DenseConfig((4, 6, 3)), 0, "a")
        network.register_forward_pre_hook(lambda _, entering: seen.append(entering[0].tolist()))
        stage = Minibatch(5, 1e-2, EntropicLoss(strength), cross_entropy, x, y, batch=8, labels=labels)  # type: ignore[arg-type]
        stage.begin(network).advance(0, 5)
        return [batch for batch, _ in groupby(seen)]  # a step may look at its batch more than once

    plain = batches(0.0, "true")
    assert len(plain) == 5
    assert batches(0.1, "sampled") == batches(0.1, "true") == plain


def test_a_file_keeper_holds_a_whole_state_of_one_request(tmp_path) -> None:
    keeper = FileKeeper(tmp_path / "new" / "state.safetensors")
    assert keeper.load({"seed": 1}) is None
    tree = {"x": torch.ones(2, dtype=torch.float64), "y": [0.1, math.inf, None, "text"]}
    keeper.save({"seed": 1}, tree)
    keeper.save({"seed": 1}, tree)
    found = keeper.load({"seed": 1})
    assert torch.equal(found["x"], tree["x"])
    assert found["y"] == tree["y"]
    assert [path.name for path in keeper.path.parent.iterdir()] == ["state.safetensors"]
    with pytest.raises(TrainingError, match="another seed"):
        keeper.load({"seed": 2})
    keeper.path.write_bytes(keeper.path.read_bytes()[:-3])
    with pytest.raises(TrainingError, match="not a whole checkpoint"):
        keeper.load({"seed": 1})


def rows() -> tuple[torch.Tensor, torch.Tensor]:
    random = generator(1, "rows")
    return normal(random, 20, 4), normal(random, 20, 3)


@pytest.mark.parametrize("maps", [True, False])
def test_the_gradient_by_hand_is_autograds(*, maps: bool) -> None:
    x, y = rows()
    network = (
        linear_network((4, 6, 5, 3), 0, "a") if maps else dense_network(DenseConfig((4, 6, 3), "linear", False), 0, "a")
    )
    made = Problem(network, square_error, x, y)
    loss = made.losses(network(x), y).mean()
    own = torch.autograd.grad(loss, list(network.parameters()))
    entering, behind = (x @ network.map_in.T, network.map_out) if maps else (x, torch.eye(3, dtype=torch.float64))
    weights = [p.detach().numpy() for p in network.parameters()]
    found, gradients = chain_gradients(weights, behind.numpy(), entering.numpy(), y.numpy())
    assert found == pytest.approx(float(loss.detach()), rel=1e-12)
    for g, h in zip(gradients, own, strict=True):
        np.testing.assert_allclose(g, h.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("maps", [True, False])
def test_the_largest_curvature_is_that_of_the_steepest_row_where_it_is_fitted(*, maps: bool) -> None:
    x, _ = rows()
    network = (
        linear_network((4, 6, 5, 3), 0, "a") if maps else dense_network(DenseConfig((4, 6, 3), "linear", False), 0, "a")
    )
    own = [
        largest_eigenvalue(Problem(network, square_error, row[None], network(row[None]).detach()), iterations=200)
        for row in x
    ]
    entering, behind = (x @ network.map_in.T, network.map_out) if maps else (x, torch.eye(3, dtype=torch.float64))
    weights = [p.detach().numpy() for p in network.parameters()]
    assert largest_curvature(weights, behind.numpy(), entering.numpy()) == pytest.approx(max(own), rel=1e-8)
    weights[0][0, 0] = math.inf
    with np.errstate(invalid="ignore"):
        assert largest_curvature(weights, behind.numpy(), entering.numpy()) == math.inf


def test_a_bounded_rate_takes_steep_rows_at_which_real_descent_diverges() -> None:
    x, y = rows()

    def descended(bound: float, rate: float = 0.01) -> float:
        network = linear_network((4, 6, 3), 0, "a")
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.mul_(4)
        trainee = Trainee("a", network, [Descent(4000, rate, x, y, batch=1, bound=bound)], 1000, "")
        finish(trainee)
        with torch.no_grad():
            return float(square_error(network(x), y).mean())

    with pytest.raises(DivergenceError):
        descended(math.inf)
    with pytest.raises(DivergenceError):
        descended(20.0)
    fitted = torch.linalg.lstsq(x, y)
    least = float(square_error(x @ fitted.solution, y).mean())
    assert least < descended(1.0) < 1.05 * least
    assert descended(1.0, 1e-4) == descended(math.inf, 1e-4)  # the rate itself is small enough


def test_descent_with_decay_is_descent_on_the_decayed_loss() -> None:
    x, y = rows()
    network, twin = linear_network((4, 6, 3), 0, "a"), linear_network((4, 6, 3), 0, "a")
    Descent(1, 0.01, x, y, decay=0.3).begin(network).advance(0, 1)
    EntropicLoss(0.0, decay=0.3).backward(Problem(twin, square_error, x, y))
    for p, q in zip(network.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(p, q.detach() - 0.01 * q.grad, rtol=1e-12, atol=1e-14)


def finish(trainee: Trainee) -> None:
    while not trainee.done:
        trainee.advance()


def test_a_diverged_run_names_the_step_and_what_to_lower() -> None:
    x, y = rows()
    stages = {
        "descent": Descent(500, 5.0, x, y),
        "adam": Minibatch(500, 1e200, EntropicLoss(0.1), square_error, x, y),
        "lbfgs": Lbfgs(50, EntropicLoss(1.0, sampling=Sampling(1, "all")), square_error, x * 1e160, y),
    }
    for stage in stages.values():
        trainee = Trainee("b", linear_network((4, 6, 3), 0, "b"), [stage], 100, "lower it")
        with pytest.raises(DivergenceError, match=r"network b diverged at step \d+: .*; lower it"):
            finish(trainee)


def test_a_training_that_has_not_converged_says_so() -> None:
    for options in ({}, {"objective": "plain"}, {"optimizer": "sgd"}):
        result = train(TrainingRequest(**options, steps=50, seed=3))  # type: ignore[arg-type]
        (warning,) = result.warnings
        assert warning.code == "not_converged"
        assert "take more than 50 steps" in warning.detail
        assert result.to_dict({})["warnings"] == [vars(warning)]
    # The slope says so, not the number of steps: without the entropy L-BFGS is at its end by then.
    assert train(TrainingRequest(objective="plain", optimizer="lbfgs", steps=50, seed=3)).warnings == ()


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({}, "lower the strength"),
        ({"weight_decay": 0.1}, "lower the weight decay"),
        ({"objective": "plain", "optimizer": "lbfgs"}, "the optimizer gd"),
        ({"objective": "plain"}, "its rate is fixed: take another seed, or the optimizer lbfgs"),
        ({"optimizer": "sgd"}, "a lower strength, another seed, or the optimizer lbfgs"),
    ],
)
def test_what_is_advised_against_divergence_can_be_done(options: dict, advice: str) -> None:
    asked = LinearRecipe.of(TrainingRequest(**options)).request
    assert advice in divergence_advice(asked)
    if advice.endswith(("gd", "lbfgs")):
        other = replace(asked, optimizer=advice.rsplit(" ", 1)[1], strength=None)
        assert LinearRecipe.of(other).request.optimizer == other.optimizer
    if "strength" in advice:
        assert LinearRecipe.of(replace(asked, strength=1e-4)).request.strength == 1e-4


def test_cancelling_is_what_progress_raises() -> None:
    seen: list[tuple[str, int, int]] = []

    def progress(stage: str, done: int, total: int) -> None:
        seen.append((stage, done, total))
        if done >= 50:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(TrainingRequest(steps=100), progress=progress)
    assert seen == [("train", 0, 100), ("train", 25, 100), ("train", 50, 100)]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"recipe": "liner"}, "did you mean 'linear'"),
        ({"objective": "entropy"}, "did you mean 'entropic'"),
        ({"optimizer": "lbfg"}, "did you mean 'lbfgs'"),
        ({"labels": "sample"}, "did you mean 'sampled'"),
        ({"strength": -1.0}, "above 0, not -1.0"),
        ({"strength": math.nan}, "above 0, not nan"),
        ({"objective": "plain", "strength": 0.1}, "plain has no strength"),
        ({"weight_decay": -1.0}, "at least 0, not -1.0"),
        ({"steps": 0}, "at least 1, not 0"),
        ({"seed": -1}, "at least 0"),
        ({"data": "digits"}, "linear has data 'factorial' alone"),
        ({"labels": "sampled"}, "linear has labels 'true' alone"),
        ({"optimizer": "adam"}, "take the optimizer lbfgs"),
        ({"optimizer": "gd"}, "has no entropy"),
        ({"optimizer": "sgd", "objective": "plain"}, "the noise of sgd is the entropy"),
    ],
)
def test_what_cannot_be_asked_is_refused(options: dict, match: str) -> None:
    with pytest.raises((TrainingError, UnknownNameError), match=match):
        train(TrainingRequest(**options))

"""The three estimators agree, are unbiased for the batch asked for, and refuse what they cannot do."""

from itertools import combinations

import pytest
import torch
from torch import nn

from alignment.entropic.estimators import FiniteDifference, GhostNorm, PerSample, row_gradients
from alignment.entropic.loss import EntropicLoss
from alignment.entropic.problem import Problem, square_error
from alignment.entropic.sampling import Sampling
from alignment.errors import TrainingError
from tests.entropic.networks import KINDS, problem, seeded

SAMPLINGS = (Sampling(1), Sampling(2), Sampling(6), Sampling(3, rows="all"), Sampling(3, "all", replacement=False))


def flat(gradients) -> torch.Tensor:
    """All in one: the gradient of a key's bias is zero by softmax's symmetry, so alone it would be rounding only."""
    return torch.cat([g.flatten() for g in gradients])


def close(one: torch.Tensor, other: torch.Tensor, relative: float) -> bool:
    return bool((one - other).norm() <= relative * max(float(other.norm()), 1e-12))


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_alone_is_the_oracle_of_the_oracle(kind: str) -> None:
    made = problem(kind)
    found = row_gradients(made)
    for row in range(len(made)):
        one = made.rows(slice(row, row + 1))
        loss = one.losses(one.model(one.inputs), one.targets).sum()
        own = torch.autograd.grad(loss, list(made.parameters.values()))
        assert close(flat(found[name][row] for name in made.parameters), flat(own), 1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
def test_ghost_norms_are_the_oracles(kind: str, sampling: Sampling) -> None:
    made = problem(kind)
    ghost, oracle = GhostNorm(), PerSample(chunk=2)
    assert close(ghost.value(made, sampling), oracle.value(made, sampling), 1e-10)
    one, other = ghost.step(made, sampling, 0.3), oracle.step(made, sampling, 0.3)
    assert close(one.loss, other.loss, 1e-12)
    assert close(one.square, other.square, 1e-10)
    assert close(flat(one.gradients), flat(other.gradients), 1e-10)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch", [1, 3, 6])
def test_finite_differences_follow(kind: str, batch: int) -> None:
    made = problem(kind)
    before = [p.detach().clone() for p in made.parameters.values()]
    found = FiniteDifference().step(made, Sampling(batch), 0.3)
    assert all(torch.equal(p, old) for p, old in zip(made.parameters.values(), before, strict=True))
    squares, gradients = [], []
    for at in range(0, len(made), batch):
        part = PerSample().step(made.rows(slice(at, at + batch)), Sampling(batch), 0.3)
        squares.append(part.square)
        gradients.append(flat(part.gradients))
    assert close(found.square, torch.stack(squares).mean(), 1e-12)
    assert close(flat(found.gradients), torch.stack(gradients).mean(0), 1e-5)
    assert close(FiniteDifference().value(made, Sampling(batch)), found.square, 1e-12)


@pytest.mark.parametrize("kind", ["mlp", "attention"])
def test_the_penalty_may_have_labels_of_its_own(kind: str) -> None:
    made = problem(kind)
    made = Problem(made.model, made.loss, made.inputs, made.targets, made.targets.flip(0))
    one, other = GhostNorm().step(made, Sampling(1), 0.3), PerSample().step(made, Sampling(1), 0.3)
    third = FiniteDifference().step(made, Sampling(1), 0.3)
    assert not torch.allclose(one.square, GhostNorm().step(problem(kind), Sampling(1), 0.3).square)
    assert close(flat(one.gradients), flat(other.gradients), 1e-10)
    assert close(flat(third.gradients), flat(other.gradients), 1e-5)


@pytest.mark.parametrize("replacement", [True, False])
@pytest.mark.parametrize("batch", [1, 2, 3, 5])
def test_the_expectation_over_batches_is_that_of_all_batches(batch: int, *, replacement: bool) -> None:
    made = problem("mlp", rows=5)
    rows = torch.cat([g.flatten(1) for g in row_gradients(made).values()], 1)
    if replacement:
        every = torch.cartesian_prod(*[torch.arange(5)] * batch).reshape(-1, batch)
    else:
        every = torch.tensor(list(combinations(range(5), batch)))
    oracle = rows[every].mean(1).square().sum(1).mean()
    found = GhostNorm().value(made, Sampling(batch, "all", replacement=replacement))
    assert close(found, oracle, 1e-12)


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_a_sample_of_rows_is_unbiased_for_the_batch_asked_for(batch: int) -> None:
    # Every ordered sample of three rows out of four, with replacement, is as likely: their mean is the expectation.
    made = problem("mlp", rows=4)
    truth = PerSample().value(made, Sampling(batch, "all"))
    samples = torch.cartesian_prod(*[torch.arange(4)] * 3)
    found = torch.stack([PerSample().value(made.rows(s), Sampling(batch)) for s in samples]).mean()
    assert close(found, truth, 1e-12)


def test_the_product_of_norms_would_be_wrong() -> None:
    made = problem("recurrent")
    weight = row_gradients(made)["step.weight"]
    state, product = made.inputs, torch.zeros(len(made), dtype=torch.float64)
    states, outputs = [], []
    for _ in range(3):
        states.append(state)
        z = made.model.step(state)
        outputs.append(z)
        state = torch.tanh(z)
    deltas = torch.autograd.grad(made.losses(made.model.head(state), made.targets).sum(), outputs)
    for a, d in zip(states, deltas, strict=True):
        product = product + a.detach().square().sum(1) * d.square().sum(1)
    assert not torch.allclose(product, weight.square().sum((1, 2)), rtol=1e-2)


def test_torchs_own_batched_layer_norm_has_a_wrong_second_derivative() -> None:
    # When this fails, torch has mended it, and `PlainNorms` can go.
    gain, x = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in ([1.0, 2.0, 0.5], [[0.3, -1.0, 2.0]]))

    def squares(row_gradient) -> torch.Tensor:
        return row_gradient(gain).square().sum()

    def loss(g: torch.Tensor, row: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.layer_norm(row, (3,), g).pow(3).sum()

    batched = squares(lambda g: torch.func.vmap(torch.func.grad(loss), (None, 0))(g, x))
    plain = squares(lambda g: torch.autograd.grad(loss(g, x[0]), g, create_graph=True)[0])
    assert close(batched.detach(), plain.detach(), 1e-12)
    wrong, right = (torch.autograd.grad(value, x)[0] for value in (batched, plain))
    assert not close(wrong, right, 1e-3)


class Custom(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3, 3, dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ torch.tanh(self.weight)


def test_what_no_rule_knows_is_refused_and_the_others_take_it() -> None:
    x = torch.ones(4, 3, dtype=torch.float64)
    made = Problem(Custom(), square_error, x, torch.zeros_like(x))
    with pytest.raises(TrainingError, match=r"weight is used by tanh.*finite-difference"):
        GhostNorm().value(made, Sampling())
    assert close(FiniteDifference().value(made, Sampling()), PerSample().value(made, Sampling()), 1e-12)


@pytest.mark.parametrize(
    ("module", "estimator", "match"),
    [
        (nn.BatchNorm1d(3), GhostNorm(), "mixes rows"),
        (nn.BatchNorm1d(3), PerSample(), "mixes rows"),
        (nn.Dropout(0.5), PerSample(), "a matter of chance"),
        (nn.ReLU(inplace=True), GhostNorm(), "inplace=False"),
        (nn.Flatten(0, 1), GhostNorm(), "first dimension"),
    ],
)
def test_what_has_no_gradient_a_row_is_refused(module: nn.Module, estimator: object, match: str) -> None:
    model = nn.Sequential(nn.Linear(3, 3), module, nn.Linear(3, 3))
    x = torch.ones(4, 2, 3) if isinstance(module, nn.Flatten) else torch.ones(4, 3)
    made = Problem(model, square_error, x, torch.zeros(4, 3))
    with pytest.raises(TrainingError, match=match):
        estimator.value(made, Sampling())  # type: ignore[attr-defined]


def test_dropout_drops_the_same_in_both_gradients() -> None:
    model = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 3)).double()
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    made = Problem(model, square_error, x, torch.zeros_like(x))
    torch.manual_seed(3)
    found = FiniteDifference().step(made, Sampling(6), 1.0)
    torch.manual_seed(3)
    loss = made.losses(model(x), made.targets).mean()
    own = torch.autograd.grad(loss, list(model.parameters()), create_graph=True)
    bent = torch.autograd.grad(sum(g.square().sum() for g in own), list(model.parameters()))
    for a, b, c in zip(found.gradients, own, bent, strict=True):
        assert close(a, b.detach() + c, 1e-5)


def test_impossible_samplings_are_refused() -> None:
    made = problem("mlp", rows=5)
    with pytest.raises(TrainingError, match="cannot be split into batches of 2"):
        FiniteDifference().step(made, Sampling(2), 0.1)
    with pytest.raises(TrainingError, match="not their expectation"):
        FiniteDifference().value(made, Sampling(1, "all"))
    with pytest.raises(TrainingError, match="without replacement from 5 rows"):
        GhostNorm().value(made, Sampling(6, "all", replacement=False))
    with pytest.raises(TrainingError, match="at least two"):
        GhostNorm().value(made.rows(slice(0, 1)), Sampling(2))
    with pytest.raises(TrainingError, match="at least one row"):
        Sampling(0)
    with pytest.raises(TrainingError, match="strength must be"):
        EntropicLoss(-1.0)


def test_the_loss_sets_gradients_with_decay_outside_the_square() -> None:
    made = problem("mlp")
    step = PerSample().step(made, Sampling(1), 0.25 * 0.2)
    value = EntropicLoss(0.2, decay=0.03).backward(made)
    norm = sum(float(p.detach().square().sum()) for p in made.parameters.values())
    assert value.total == pytest.approx(float(step.loss + 0.05 * step.square) + 0.03 * norm, rel=1e-12)
    for p, g in zip(made.parameters.values(), step.gradients, strict=True):
        assert close(p.grad, g + 0.06 * p.detach(), 1e-10)
    plain = EntropicLoss(0.0).backward(made)
    assert (plain.entropy, plain.decay) == (0.0, 0.0)


class Branches(nn.Module):
    """A branch that the loss does not see, and one that joins late."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.dead, self.late, self.last = (nn.Linear(3, 3) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state = torch.tanh(self.first(x))
        self.dead(state)
        return self.last(state + self.late(x).detach() + torch.tanh(self.late(2 * x)))


def test_every_branch_is_counted_and_a_dead_one_is_nothing() -> None:
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    made = Problem(seeded(Branches()), square_error, x, torch.zeros_like(x))
    for sampling in (Sampling(1), Sampling(2)):
        assert close(GhostNorm().value(made, sampling), PerSample().value(made, sampling), 1e-12)
        one, other = (estimator.step(made, sampling, 0.3) for estimator in (GhostNorm(), PerSample()))
        assert close(flat(one.gradients), flat(other.gradients), 1e-10)

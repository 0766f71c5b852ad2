"""What a hostile reader of the estimators tried: coincidences of sizes, side effects, parts that take no gradient."""

import pytest
import torch
from torch import nn

from alignment.entropic.estimators import FiniteDifference, GhostNorm, PerSample
from alignment.entropic.noether import noether
from alignment.entropic.problem import Problem, square_error
from alignment.entropic.sampling import Sampling
from alignment.entropic.sharpness import largest_eigenvalue, trace
from alignment.errors import TrainingError
from tests.entropic.networks import seeded


def rows(count: int, *shape: int) -> torch.Tensor:
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


class Positions(nn.Module):
    """Positions without a batch dimension, whose number may happen to be that of the rows."""

    def __init__(self, *, lined: bool) -> None:
        super().__init__()
        self.table, self.mix, self.head = nn.Embedding(5, 3), nn.Linear(3, 3), nn.Linear(3, 2)
        self.lined = lined

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        places = self.table(torch.arange(x.shape[1]))
        places = self.mix(places) if self.lined else places
        return self.head(torch.tanh(x + places)).mean(1)


@pytest.mark.parametrize("lined", [False, True])
@pytest.mark.parametrize("count", [4, 5])
def test_as_many_rows_as_positions_are_not_mistaken_for_them(count: int, *, lined: bool) -> None:
    made = Problem(seeded(Positions(lined=lined)), square_error, rows(count, 5, 3), torch.zeros(count, 2).double())
    truth = PerSample().value(made, Sampling(1))
    try:
        found = GhostNorm().value(made, Sampling(1))
    except TrainingError as error:
        assert "first dimension" in str(error)  # noqa: PT017 - an answer as good as the right number
    else:
        torch.testing.assert_close(found, truth, rtol=1e-10, atol=0)


def test_finite_differences_leave_running_statistics_as_one_step_would() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).double()
    x = rows(8, 3)
    made = Problem(model, square_error, x, torch.zeros(8, 2).double())
    FiniteDifference().step(made, Sampling(8), 0.3)
    assert int(model[1].num_batches_tracked) == 1
    entered = model[0](x).detach()
    torch.testing.assert_close(model[1].running_mean, 0.1 * entered.mean(0))


class Asleep(nn.Module):
    """A part that runs without gradients, and one that is never run."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.asleep, self.unused, self.last = (nn.Linear(3, 3) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            still = self.asleep(x)
        return self.last(torch.relu(self.first(x)) + still)


def test_what_takes_no_gradient_counts_as_nothing() -> None:
    made = Problem(seeded(Asleep()), square_error, rows(6, 3), torch.zeros(6, 3).double())
    own = 0.0
    for row in range(6):
        one = made.rows(slice(row, row + 1))
        found = torch.autograd.grad(
            one.losses(one.model(one.inputs), one.targets).sum(), list(one.parameters.values()), allow_unused=True
        )
        own += sum(float(g.square().sum()) for g in found if g is not None) / 6
    assert float(GhostNorm().value(made, Sampling(1))) == pytest.approx(own, rel=1e-12)
    assert float(GhostNorm().step(made, Sampling(1), 0.1).square) == pytest.approx(own, rel=1e-12)
    assert noether(made, 0.1) == ()  # and no complaint of what is not used


class Linear(nn.Module):
    """Outputs that are linear in the one parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3, dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weight


def test_a_loss_without_curvature_has_none() -> None:
    made = Problem(Linear(), lambda outputs, targets: outputs - targets, rows(6, 3), torch.zeros(6).double())
    assert largest_eigenvalue(made) == 0.0
    assert trace(made, probes=3).value == 0.0


def test_attention_that_drops_at_random_is_refused_by_name() -> None:
    class Dropping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(4, 2, dropout=0.5, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.attention(x, x, x, need_weights=False)[0].mean(1)

    made = Problem(Dropping().double(), square_error, rows(4, 3, 4), torch.zeros(4, 4).double())
    with pytest.raises(TrainingError, match="attention is dropout, which makes"):
        PerSample().value(made, Sampling(1))


def test_several_inputs_are_packed_into_one() -> None:
    with pytest.raises(TrainingError, match="one tensor whose rows are items"):
        Problem(nn.Linear(3, 3), square_error, (rows(4, 3), rows(4, 3)), torch.zeros(4, 3))  # type: ignore[arg-type]


def test_rows_that_are_batches_are_for_finite_differences() -> None:
    made = Problem(nn.Linear(3, 2).double(), square_error, rows(4, 3), torch.zeros(4, 2).double(), batched=False)
    assert float(PerSample().value(made, Sampling(1))) > 0
    for estimator in (GhostNorm(), PerSample()):
        with pytest.raises(TrainingError, match="finite-difference"):
            estimator.step(made, Sampling(1), 0.1)


def test_weights_of_few_digits_are_refused_by_finite_differences() -> None:
    x = rows(4, 3).bfloat16()
    made = Problem(nn.Linear(3, 2).bfloat16(), square_error, x, x[:, :2])
    with pytest.raises(TrainingError, match="keep them in float32"):
        FiniteDifference().step(made, Sampling(4), 0.1)

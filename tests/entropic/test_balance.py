"""Balance, rebalancing and the Noether identity: laws where a network has the symmetry, refusals where it lacks it."""

import pytest
import torch
from torch import nn

from alignment.entropic.balance import balance, trained_units, unit_sums
from alignment.entropic.chance import generator, normal
from alignment.entropic.estimators import PerSample, row_gradients
from alignment.entropic.initial import dense_network
from alignment.entropic.loss import EntropicLoss
from alignment.entropic.moments import entropy, expectations, preconditioned_entropy, squares
from alignment.entropic.noether import noether
from alignment.entropic.problem import Problem, square_error
from alignment.entropic.rebalance import rebalance
from alignment.entropic.sampling import Sampling
from alignment.entropic.symmetry import symmetries
from alignment.entropic.training.lbfgs import Lbfgs
from alignment.errors import TrainingError
from alignment.models import DenseConfig
from tests.entropic import bars
from tests.entropic.networks import Attention, attention_problem, problem, relu_problem, seeded

SAMPLINGS = (Sampling(1, "all"), Sampling(4, "all"), Sampling(3, "all", replacement=False))


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
def test_moments_add_up_to_the_estimators_value(sampling: Sampling) -> None:
    made = problem("mlp")
    assert entropy(made, sampling) == pytest.approx(float(PerSample().value(made, sampling)), rel=1e-12)


def test_moments_of_many_chunks_are_those_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    made = problem("mlp")
    forms = {name: squares(name) for name in made.parameters}
    whole = expectations(made, Sampling(2), forms)
    monkeypatch.setattr("alignment.entropic.moments._HELD", 1)
    for name, value in expectations(made, Sampling(2), forms).items():
        torch.testing.assert_close(value, whole[name], rtol=1e-12, atol=1e-14)


def test_the_preconditioned_entropy_is_an_l1_penalty_in_the_steady_state() -> None:
    made = problem("mlp")
    moments = expectations(made, Sampling(1), {name: squares(name) for name in made.parameters})
    steady = sum(float(m.sqrt().sum()) for m in moments.values())
    assert preconditioned_entropy(made, Sampling(1), 0.4, eps=0.0) == pytest.approx(0.1 * steady)
    ones = {name: torch.ones_like(m) for name, m in moments.items()}
    assert preconditioned_entropy(made, Sampling(1), 0.4, ones, eps=0.0) == pytest.approx(
        0.1 * entropy(made, Sampling(1))
    )
    with pytest.raises(TrainingError, match="second moments lack"):
        preconditioned_entropy(made, Sampling(1), 0.4, {})


def test_unit_residuals_against_a_loop() -> None:
    made = relu_problem()
    rows = row_gradients(made)
    found = balance(made, Sampling(1, "all"))
    for layer in (0, 1):
        gaps, totals = [], []
        for unit in range(rows[f"layers.{layer}.weight"].shape[1]):
            entering = (
                rows[f"layers.{layer}.weight"][:, unit].square().sum(1) + rows[f"layers.{layer}.bias"][:, unit] ** 2
            )
            leaving = rows[f"layers.{layer + 1}.weight"][:, :, unit].square().sum(1)
            gaps.append(float((entering.mean() - leaving.mean()).abs()))
            totals.append(float(entering.mean() + leaving.mean()))
        assert found.units[layer].mass == pytest.approx(sum(gaps) / sum(totals), rel=1e-10)
        assert found.units[layer].largest == pytest.approx(
            max(g / t for g, t in zip(gaps, totals, strict=True) if t > 0)  # a unit may be dead
        )
    assert [a.law for a in found.absent] == ["layer"]


def test_a_dead_unit_is_left_out() -> None:
    made = relu_problem()
    live = balance(made).units[0].live
    moments = {name: rows.square().sum(0) for name, rows in row_gradients(made).items()}
    alive = int(unit_sums(symmetries(made.model).units[0], moments)[1].argmax())
    with torch.no_grad():
        made.model.layers[0].bias[alive] = -1e6
    assert balance(made).units[0].live == live - 1
    done = rebalance(made, Sampling(1, "all"))
    assert done.after.neuron < 1e-10


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
def test_rebalancing_keeps_the_function_and_balances_to_rounding(seed: int, *, bias: bool, sampling: Sampling) -> None:
    made = relu_problem(seed, bias=bias)
    done = rebalance(made, sampling)
    assert done.before.neuron > 0.1
    assert max(unit.largest for unit in done.after.units) < 1e-10
    assert done.function_change < 1e-10
    assert done.after.square <= done.before.square * (1 + 1e-12)
    if not bias:  # unit balance implies layer balance
        assert done.after.layer < 1e-10


@pytest.mark.parametrize("seed", range(3))
def test_attention_is_rebalanced_head_by_head(seed: int) -> None:
    made = attention_problem(seed)
    done = rebalance(made, Sampling(1, "all"))
    assert done.before.attention > 0.1
    assert done.after.attention < 1e-7
    assert done.function_change < 1e-10
    assert done.after.square < done.before.square
    assert not done.skipped


def test_a_head_without_enough_rows_is_left_with_the_reason() -> None:
    made = attention_problem().rows(slice(0, 1))
    narrow = Problem(made.model, made.loss, made.inputs[:, :1], made.targets)
    narrow.model[2] = nn.Linear(6, 3).double()
    assert "do not span the head's 3 dimensions" in rebalance(narrow, Sampling(1)).skipped[0]


@pytest.mark.parametrize("activation", ["gelu", "tanh"])
def test_without_the_symmetry_nothing_is_claimed_or_rebalanced(activation: str) -> None:
    network = dense_network(DenseConfig((4, 6, 3), activation), 0, "a")  # type: ignore[arg-type]
    made = Problem(network, square_error, torch.ones(3, 4).double(), torch.ones(3, 3).double())
    before = {name: p.detach().clone() for name, p in made.parameters.items()}
    found = balance(made)
    assert (found.neuron, found.layer, found.matrix, found.attention) == (None, None, None, None)
    with pytest.raises(TrainingError, match="is not homogeneous"):
        rebalance(made)
    assert all(torch.equal(p, before[name]) for name, p in made.parameters.items())


class Rotary(Attention):
    def __init__(self) -> None:
        super().__init__()
        self.rotary = nn.Identity()


class QueryNorm(Attention):
    def __init__(self) -> None:
        super().__init__()
        self.q_norm = nn.LayerNorm(3)


@pytest.mark.parametrize("kind", [Rotary, QueryNorm])
def test_attention_with_something_between_queries_and_keys_is_refused(kind: type) -> None:
    found = symmetries(nn.Sequential(kind()))
    assert not found.heads
    assert "breaks their symmetry" in found.absent[0].reason


def test_packed_attention_and_tied_weights_are_refused() -> None:
    assert "packed" in symmetries(nn.MultiheadAttention(4, 2)).absent[0].reason
    tied = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    tied[2].weight = tied[0].weight
    assert "another place" in symmetries(tied).absent[0].reason


class Residual(nn.Module):
    """Uses a hidden state beside the chain, so that rescaling units changes the function."""

    def __init__(self) -> None:
        super().__init__()
        self.chain = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.chain(x) + self.chain[0](x)[:, :3]


def test_a_model_that_uses_its_weights_otherwise_is_left_as_it_is() -> None:
    x = normal(generator(0, "rows"), 20, 3)
    made = Problem(seeded(Residual()), square_error, x, torch.zeros_like(x))
    before = {name: p.detach().clone() for name, p in made.parameters.items()}
    with pytest.raises(TrainingError, match="left as it is"):
        rebalance(made)
    assert all(torch.equal(p, before[name]) for name, p in made.parameters.items())


def test_berts_attention_is_found() -> None:
    from transformers import BertConfig, BertModel

    config = BertConfig(hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8, vocab_size=9)
    found = symmetries(BertModel(config, add_pooling_layer=False))
    assert [(h.place, h.kind) for h in found.heads[:2]] == [
        ("encoder.layer.0.attention.self", "query_key"),
        ("encoder.layer.0.attention.self", "value_output"),
    ]
    assert found.heads[1].right == ("encoder.layer.0.attention.output.dense.weight",)
    assert len(found.heads) == 4


@pytest.mark.parametrize("decay", [0.0, 0.03])
def test_the_noether_identity_is_exact_for_any_step(decay: float) -> None:
    for check in noether(relu_problem(), 0.3, decay):
        assert check.error < 1e-10
    checks = noether(attention_problem(), 0.3, decay)
    assert {check.kind for check in checks} == {"query_key", "value_output"}
    assert all(check.error < 1e-8 for check in checks)


def test_with_weight_decay_balance_moves_as_the_law_says() -> None:
    # 4 γ (‖W_i‖² - ‖W_{i+1}‖²) = η (G_i - G_{i+1}) at the optimum, so the residual with decay vanishes there alone.
    eta = gamma = 1e-2
    data = bars.LinearData.draw(0)
    side = bars.MemberData.pair(data)[0]
    loss = EntropicLoss(eta, gamma, sampling=bars.SINGLE_ROWS)
    network = bars.linear_network(bars.WIDTHS["a"], 0, "a")
    bars.trained(network, Lbfgs(1000, loss, square_error, side.inputs, side.targets))
    made = Problem(network, square_error, side.inputs, side.targets)
    without, within = (balance(made, bars.SINGLE_ROWS, decay=decay) for decay in (0.0, 4 * gamma / eta))
    assert min(without.layer, without.matrix) > 1e-2
    assert max(within.layer, within.neuron, within.matrix) < 1e-4


def test_unit_sums_take_the_bias_with_what_enters() -> None:
    made = relu_problem()
    group = trained_units(made, symmetries(made.model))[0]
    entering, leaving = unit_sums(group, {name: p.detach().square() for name, p in made.parameters.items()})
    first, second = made.model.layers[0], made.model.layers[1]
    torch.testing.assert_close(entering, first.weight.detach().square().sum(1) + first.bias.detach().square())
    torch.testing.assert_close(leaving, second.weight.detach().square().sum(0))

"""The acceptance bars, one seed each; `python -m tests.benchmarks.entropic` prints them over more."""

import pytest

from tests.benchmarks.acceptance import exact
from tests.entropic import bars

SEED = 7  # none of those that the settings were found with


def ratio(balance) -> float:
    return max(balance.layers.values()) / min(balance.layers.values())


@pytest.fixture(scope="module")
def pair():
    return bars.linear_pair(SEED)


def test_entropic_training_aligns_all_layers(pair) -> None:
    entropic, _ = pair
    assert 1 - entropic.lowest < 1e-4
    assert 1 - entropic.extra["cka_min"] < 1e-4
    assert entropic.seconds < 60
    assert entropic.warnings == ()  # it has converged


def test_plain_training_does_not(pair) -> None:
    entropic, plain = pair
    assert plain.lowest < 0.95
    assert (1 - plain.lowest) / (1 - entropic.lowest) > 1e3
    # … at the same loss and with the same outputs: the difference is in the representation alone.
    for one, other in zip(entropic.members, plain.members, strict=True):
        assert one.loss == pytest.approx(other.loss, rel=1e-3)
    assert plain.outputs > 1 - 1e-6
    assert plain.warnings == ()


def test_the_theory_predicts_what_is_measured(pair) -> None:
    entropic, plain = pair
    for member in entropic.members:
        assert member.prediction.kernel_error < 1e-3
        assert 0.95 < member.prediction.entropy_ratio < 1.01
        assert 0.95 < member.prediction.sharpness_ratio < 1.01
    assert entropic.history[-1].layer < 2e-2
    assert all(member.prediction.kernel_error > 1e-2 for member in plain.members)


def test_real_stochastic_descent_goes_the_same_way(pair) -> None:
    found = bars.sgd_pair(SEED, 60_000)
    assert found.lowest > pair[1].lowest + 0.1
    assert found.warnings == ()


def test_relu_networks_come_near_balance() -> None:
    biased = bars.relu(SEED, (6, 12, 2), bias=True)
    assert biased.entropic.neuron < min(0.2, biased.plain.neuron / 2)
    assert biased.entropic.layer is None  # with hidden biases it is no law
    deeper = bars.relu(SEED, (6, 8, 8, 2), bias=False)
    assert deeper.entropic.neuron < min(0.2, deeper.plain.neuron / 2)
    assert ratio(deeper.entropic) < 1.2


def test_what_holds_to_rounding_and_the_local_order() -> None:
    for name, values, bar, holds in exact([SEED]):
        assert all(holds(value) for value in values), f"{name}: {values} is not {bar}"


def test_isotropic_noise_leads_to_the_flattest_minimum_and_other_noise_to_a_sharper_one() -> None:
    assert all(abs(flattest - 1) < 0.02 for _, flattest in bars.sharpness(SEED, 1.0))
    assert all(0.95 < own < 1.01 and flattest > 1.1 for own, flattest in bars.sharpness(SEED, 25.0))


@pytest.mark.parametrize(("what", "least"), bars.BROKEN.items())
def test_what_breaks_alignment(what: str, least: float) -> None:
    assert bars.breakage(SEED, what) > least


@pytest.mark.parametrize("what", bars.CONTROLS)
def test_what_does_not(what: str) -> None:
    assert bars.breakage(SEED, what) < 1e-4

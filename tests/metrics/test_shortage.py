"""Laws of too few items: what refuses a request, and what leaves one metric without a score."""

from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alignment.metrics import METRICS, MetricChoice, fewest_items, find_shortage

CHOICES = [
    *(MetricChoice.of(name) for name in METRICS),
    *(MetricChoice.parse(f"{name}:k={k}") for name in ("mutual_knn", "cknna") for k in (1, 2, 11)),
    *map(MetricChoice.parse, ("cka:kernel=rbf", "rsa:correlation=pearson", "linear_predictivity:seed=1")),
]
REQUESTS = st.lists(st.sampled_from(range(len(CHOICES))), min_size=1, max_size=6, unique=True)


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: choice.key)
def test_alone_a_metric_is_refused_below_its_minimum_and_only_there(choice: MetricChoice) -> None:
    assert fewest_items([choice]) == choice.least_items
    for items in range(15):
        assert (find_shortage([choice], items) is None) == (items >= choice.least_items)


@given(REQUESTS, st.integers(0, 14))
def test_a_request_is_refused_if_nothing_can_be_measured_or_a_changed_parameter_does_not_fit(places, items) -> None:
    choices = [CHOICES[place] for place in places]
    too_few = [choice for choice in choices if items < choice.least_items]
    unfit = [choice for choice in too_few if "k" in choice.changed]
    short = find_shortage(choices, items)
    assert (short is not None) == (len(too_few) == len(choices) or bool(unfit))
    assert (items < fewest_items(choices)) == (short is not None)
    if short is not None:
        assert short.choice in (unfit or too_few)
        assert short.need.startswith(f"{short.choice.key} needs at least {short.choice.least_items} items")


@given(REQUESTS, st.integers(0, 14))
def test_parameters_written_out_change_nothing(places, items) -> None:
    choices = [CHOICES[place] for place in places]
    written = [MetricChoice.of(choice.metric.name, MappingProxyType(dict(choice.values))) for choice in choices]
    assert find_shortage(written, items) == find_shortage(choices, items)

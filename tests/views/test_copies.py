"""Which items are one, drawn more than once."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from alignment.preprocessing import PreparedLayer
from alignment.views import copies


def layer(labels):
    """One row a label, the same for the same."""
    rows = np.random.default_rng(0).normal(size=(5, 3))
    return PreparedLayer(torch.tensor(rows[list(labels)]).float(), None, None)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=12))
def test_items_are_one_if_they_are_in_every_layer_and_are_numbered_in_their_order(items):
    order = list(dict.fromkeys(items))
    found = copies([layer([a for a, _ in items]), layer([b for _, b in items])])
    if len(order) == len(items):
        assert found is None
    else:
        assert found.tolist() == [order.index(item) for item in items]


def test_no_layer_is_read_once_all_items_differ():
    def layers():
        yield layer([0, 0, 1, 2])
        yield layer([0, 1, 1, 1])
        raise AssertionError("read on")

    assert copies(layers()) is None

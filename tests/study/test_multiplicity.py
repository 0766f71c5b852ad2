"""Benjamini-Hochberg against its definition and against scipy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from alignment.study.multiplicity import benjamini_hochberg

P = st.lists(st.integers(1, 201).map(lambda count: count / 201), max_size=40)  # ties are common, as with permutations


@settings(deadline=None, max_examples=60)
@given(P)
def test_it_is_the_definition(p):
    """q_i is the least, over the p-values at or above p_i, of p_j times m over how many are at most p_j."""
    literal = [min([1.0, *(other * len(p) / sum(x <= other for x in p) for other in p if other >= mine)]) for mine in p]
    assert benjamini_hochberg(p) == pytest.approx(literal, abs=1e-12)
    if p:
        assert benjamini_hochberg(p) == pytest.approx(false_discovery_control(p), abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(P)
def test_q_is_never_below_p_and_in_its_order(p):
    q = benjamini_hochberg(p)
    assert all(a >= b for a, b in zip(q, p, strict=True))
    assert all(value <= 1 for value in q)
    assert np.all(np.diff(np.array(q)[np.argsort(p, kind="stable")]) >= 0)

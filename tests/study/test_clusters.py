"""The order and the groups."""

import numpy as np
import pytest

from alignment.study.clusters import find_clusters, silhouette


def grid(values):
    return tuple(
        tuple(None if a == b or np.isnan(x) else float(x) for b, x in enumerate(row)) for a, row in enumerate(values)
    )


def planted(labels, within, between, seed=0):
    labels = np.array(labels)
    noise = np.random.default_rng(seed).uniform(-0.03, 0.03, (len(labels),) * 2)
    return np.where(labels[:, None] == labels, within, between) + (noise + noise.T) / 2


def test_planted_groups_are_found_whatever_the_models_order():
    labels = np.array([0, 1, 2, 0, 1, 2, 0, 1, 0])
    values = planted(labels, 0.7, 0.2)
    names = [f"m{number}" for number in range(len(labels))]
    wanted = {frozenset(n for n, own in zip(names, labels, strict=True) if own == label) for label in range(3)}
    for seed in range(5):
        mixed = np.random.default_rng(seed).permutation(len(labels))
        found = find_clusters([names[i] for i in mixed], grid(values[np.ix_(mixed, mixed)]), "score")
        assert {frozenset(group) for group in found.groups} == wanted
        assert tuple(name for group in found.groups for name in group) == found.order
        assert found.silhouette > 0.5


def test_unrelated_models_are_one_group():
    found = find_clusters(list("abcdef"), grid(planted(range(6), 1, 0.02)), "calibrated")
    assert len(found.groups) == 1
    assert found.distance == "1 - calibrated"


def test_equal_distances_and_undefined_pairs_are_no_obstacle():
    found = find_clusters(list("abcd"), grid(np.zeros((4, 4))), "calibrated")
    assert sorted(found.order) == list("abcd")
    assert len(found.groups) == 1
    values = planted([0, 0, 1, 1], 0.8, 0.1)
    values[0, 2] = values[2, 0] = np.nan
    assert {frozenset(g) for g in find_clusters(list("abcd"), grid(values), "score").groups} == {
        frozenset("ab"),
        frozenset("cd"),
    }


def test_two_models_have_an_order_and_nothing_to_cut():
    found = find_clusters(["a", "b"], grid(planted([0, 0], 0.8, 0.1)), "score")
    assert (found.order, found.groups, found.silhouette) == (("a", "b"), (("a", "b"),), None)


def test_directions_of_an_asymmetric_metric_are_averaged():
    values = planted([0, 0, 1, 1], 0.8, 0.1)
    skew = np.triu(np.ones_like(values), 1) * 0.1
    names = list("abcd")
    assert find_clusters(names, grid(values + skew - skew.T), "score") == find_clusters(names, grid(values), "score")


def test_silhouette_by_hand():
    """Points 0, 1 and 5 on a line, the first two together: 1 - 1/5, 1 - 1/4, and 0 for the lone one."""
    points = np.array([0.0, 1.0, 5.0])
    distance = np.abs(points[:, None] - points)
    assert silhouette(distance, np.array([1, 1, 2])) == pytest.approx((0.8 + 0.75 + 0) / 3)

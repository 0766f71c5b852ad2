"""A file's rows are lined up with a probe set's items, by ids where it has them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alignment.errors import MismatchError
from alignment.extraction import from_file
from alignment.probes import ProbeSet

NAMES = tuple(f"item {i}" for i in range(12))
WHOLE = ProbeSet("p", NAMES, texts=NAMES)
X = np.arange(24, dtype=np.float32).reshape(12, 2)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 14), st.integers(0, 99), st.permutations(range(12)))
def test_rows_follow_the_sample_with_and_without_ids(tmp_path: Path, count: int, seed: int, order: list[int]) -> None:
    drawn = WHOLE.sample(count, seed)
    np.savez(tmp_path / "plain.npz", h=X)
    np.savez(tmp_path / "ids.npz", h=X[order], ids=np.array(NAMES)[order])
    expected = torch.tensor(X[[NAMES.index(item) for item in drawn.ids]])
    for name in ("plain.npz", "ids.npz"):
        found = from_file(str(tmp_path / name), drawn, len(WHOLE))
        assert torch.equal(found.values[0], expected)
        assert found.ids == drawn.ids


def test_a_file_of_more_items_or_of_just_the_sampled_ones_serves(tmp_path: Path) -> None:
    drawn = WHOLE.sample(5, 0)
    rows = [NAMES.index(item) for item in drawn.ids]
    np.savez(tmp_path / "few.npz", h=X[rows], ids=np.array(drawn.ids))
    np.savez(tmp_path / "more.npz", h=np.vstack([X, X]), ids=np.array([*NAMES, *(f"other {i}" for i in range(12))]))
    for name in ("few.npz", "more.npz"):
        assert torch.equal(from_file(str(tmp_path / name), drawn, 12).values[0], torch.tensor(X[rows]))


@pytest.mark.parametrize(
    ("rows", "ids", "message"),
    [
        (
            11,
            None,
            "has 11 rows and no ids, and probe set 'p' has 12 items; give it one row an item, or an array 'ids'",
        ),
        (12, np.arange(12), r"has no row for item 'item 0' of probe set 'p' \(12 are missing\)"),
        (11, np.array(NAMES[:11]), r"has no row for item 'item 11' of probe set 'p' \(1 are missing\)"),
        (12, np.array([*NAMES[:11], "item 3"]), "has the id 'item 3' more than once; give each row its own"),
    ],
)
def test_rows_that_cannot_be_lined_up_are_refused(
    tmp_path: Path, rows: int, ids: np.ndarray | None, message: str, noise: Callable[..., np.ndarray]
) -> None:
    np.savez(tmp_path / "x.npz", h=noise(0, rows), **({} if ids is None else {"ids": ids}))
    with pytest.raises(MismatchError, match=message):
        from_file(str(tmp_path / "x.npz"), WHOLE, len(WHOLE))

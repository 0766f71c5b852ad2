"""A request that has no meaning is never made."""

from collections.abc import Callable

import pytest

from alignment.calibration import Calibration
from alignment.comparison import Comparison, Extraction, Scoring
from alignment.errors import RequestError


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Comparison("builtin:a", "builtin:b", "p", samples=0), "samples must be at least 1, not 0"),
        (lambda: Comparison("builtin:a", "builtin:b", "p", pooling=("mean", "avg")), "there is no pooling 'avg'"),  # type: ignore[arg-type]
        (lambda: Comparison("builtin:a", "builtin:b", "p", dtype="int8"), "there is no dtype 'int8'"),
        (lambda: Extraction("builtin:a", "p", side="c"), "there is no side 'c'"),  # type: ignore[arg-type]
        (lambda: Scoring(seed=-1), "seed must be between"),
        (lambda: Scoring(seed=1 << 63), "seed must be between"),
        (lambda: Scoring(device="tpu"), "device must be auto, cpu or cuda:N"),
        (lambda: Scoring(device="cpu:1"), "device must be"),
        (lambda: Scoring(device="cuda:99"), "there is no device 'cuda:99' here"),
        (lambda: Calibration(permutations=-1), "permutations must be between"),
        (lambda: Calibration(level=1.0), "level must be"),
    ],
)
def test_a_request_that_has_no_meaning_is_never_made(make: Callable[[], object], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        make()

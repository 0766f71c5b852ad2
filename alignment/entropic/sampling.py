"""Sampling: which batches the entropy's expectation is over.

For a batch of size b of independent rows, with g its mean gradient and g_i a row's,

    E‖g‖² = (1/b) E‖g_i‖² + (1 - 1/b) ‖E g_i‖².

Both parts are estimated from the rows at hand without bias, so that the size of the batch that is simulated need not be
the number of rows that are looked at.

Source: Ziyin, Xu and Chuang 2025, arXiv 2505.12387; the dependence on b is derived for this project.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeVar

from torch import Tensor

from alignment.errors import TrainingError

Number = TypeVar("Number", float, Tensor)


@dataclass(frozen=True)
class Sampling:
    """How batches are drawn in the training that the entropy describes.

    Attributes:
        batch: rows a batch.
        rows: whether the rows given are a `sample` of those that batches are drawn from, or `all` of them.
        replacement: whether a batch may hold a row twice; matters only where the rows are all.
    """

    batch: int = 1
    rows: Literal["sample", "all"] = "sample"
    replacement: bool = True

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise TrainingError(f"a batch has at least one row, not {self.batch}")
        if self.rows not in ("sample", "all"):
            raise TrainingError(f"rows are 'sample' or 'all', not {self.rows!r}")

    def weights(self, count: int) -> tuple[float, float]:
        """Returns (α, β) such that α·mean‖g_i‖² + β·‖mean g_i‖² over `count` rows has the expectation E‖g‖².

        Raises:
            TrainingError: if so few rows cannot tell.

        >>> Sampling(batch=4).weights(4)
        (0.0, 1.0)
        >>> Sampling(batch=1).weights(4)
        (1.0, 0.0)
        """
        b = self.batch
        if self.rows == "all":
            if self.replacement or count == 1:
                return 1 / b, 1 - 1 / b
            if b > count:
                raise TrainingError(f"a batch of {b} cannot be drawn without replacement from {count} rows")
            spread = (count - b) / ((count - 1) * b)
            return spread, 1 - spread
        if b == 1:
            return 1.0, 0.0
        if count == 1:
            raise TrainingError(f"one row cannot tell the entropy of batches of {b}; give at least two")
        return 1 / b - (1 - 1 / b) / (count - 1), (1 - 1 / b) * count / (count - 1)

    def combine(self, mean_square: Number, square_mean: Number, count: int) -> Number:
        """Returns the estimate of E‖g‖² from mean‖g_i‖² and ‖mean g_i‖² over `count` rows."""
        alpha, beta = self.weights(count)
        return alpha * mean_square + beta * square_mean

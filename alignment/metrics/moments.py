"""The exact moments of `Σ A ∘ PBPᵀ` over all n! permutations P, for symmetric A and B whose rows sum to zero.

Both HSIC estimators have that form: the biased one with the centred Gram matrices, the unbiased one with the U-centred
ones, whose diagonal is zero.

Source: Kazi-Aoual, Hitier, Sabatier and Lebreton 1995, "Refined approximations to permutation tests for multivariate
inference", Computational Statistics & Data Analysis 20. Tested here against all permutations of 6, 7 and 8 items.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from alignment.views import Summary


@dataclass(frozen=True, eq=False)
class NullMoments:
    """What is known exactly of each cell's null, in units of the score.

    Attributes:
        mean: the mean score over all permutations.
        deviation: the standard deviation.
        skewness: the third standardised moment.
        dominated: whether one item makes up so much of a layer that moments say little of the tail.
    """

    mean: Float[Tensor, "a b"]
    deviation: Float[Tensor, "a b"]
    skewness: Float[Tensor, "a b"]
    dominated: Bool[Tensor, "a b"]


def variance(a: Summary, b: Summary, n: int) -> Float[Tensor, "*cells"]:
    """Returns the variance of the statistic over all permutations; at least 4 items."""
    first = 2 * a.squares * b.squares / ((n + 1) * (n - 2))
    own = [n * (n + 1) * s.diagonal2 - 2 * (n - 1) * s.squares for s in (a, b)]
    return first + own[0] * own[1] / ((n + 1) * n * (n - 1) * (n - 2) * (n - 3))


def third_moment(a: Summary, b: Summary, n: int) -> Float[Tensor, "*cells"]:
    """Returns the third central moment of the statistic over all permutations; at least 6 items.

    The source's expression with both traces zero.
    """

    def both(left: Tensor, right: Tensor, other_left: Tensor, other_right: Tensor) -> Tensor:
        return left * other_right + right * other_left

    u, r, f, t3, s3 = a.cubes, a.chain, a.form, a.trace3, a.diagonal3
    U, R, F, T3, S3 = b.cubes, b.chain, b.form, b.trace3, b.diagonal3
    total = (
        n**2 * (n + 1) * (n**2 + 15 * n - 4) * s3 * S3
        + 4 * (n**4 - 8 * n**3 + 19 * n**2 - 4 * n - 16) * u * U
        + 24 * (n**2 - n - 4) * (u * F + f * U)
        + 6 * (n**4 - 8 * n**3 + 21 * n**2 - 6 * n - 24) * f * F
        + 12 * (n**4 - n**3 - 8 * n**2 + 36 * n - 48) * r * R
        + 24 * ((n**3 - 3 * n**2 - 2 * n + 8) * (r * U + u * R) + (n**3 - 2 * n**2 - 3 * n + 12) * (r * F + f * R))
        - 2 * n * (n - 1) * (n**2 - n + 4) * both(2 * u + 3 * f, s3, 2 * U + 3 * F, S3)
        - 12 * n * (n - 1) ** 2 * (n + 4) * both(r, s3, R, S3)
        + 16 * n * (n - 1) * (n - 2) * both(t3, s3, T3, S3)
        + 8 * (n**3 - 9 * n**2 + 26 * n - 22) * t3 * T3
        - 8 * (3 * n**2 - 15 * n + 16) * both(t3, u, T3, U)
        - 8 * (3 * n**2 - 15 * n + 24) * both(t3, f, T3, F)
        - 8 * (n - 2) * (3 * n**2 - 15 * n + 24) * both(r, t3, R, T3)
    )
    return total / (n * (n - 1) * (n - 2) * (n - 3) * (n - 4) * (n - 5))

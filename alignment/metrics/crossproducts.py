"""Linear kernels through their features: for many items, where `[n, n]` matrices do not fit and `[d, d]` ones do.

`Σ_ij K_ij L_ij = ‖XᵀY‖²` for K = XXᵀ and L = YYᵀ, and item i has `x_iᵀ (XᵀY) y_i` of it. Products are formed over some
items at a time and added up in float64.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

Features = Sequence[Float[Tensor, "n _"]]  # widths differ
_ITEMS = 1 << 13


def product(
    x: Float[Tensor, "n d"], y: Float[Tensor, "n e"], permutation: Int[Tensor, " n"] | None = None
) -> Float[Tensor, "d e"]:
    """Returns `XᵀY`, or `XᵀPY` with item i of X beside item `permutation[i]` of Y, float64."""
    wide = torch.promote_types(x.dtype, y.dtype)  # one side may be float64, the other float32
    total = torch.zeros(x.shape[1], y.shape[1], dtype=torch.float64, device=x.device)
    for start in range(0, len(x), _ITEMS):
        part = slice(start, start + _ITEMS)
        beside = y[part] if permutation is None else y[permutation[part]]
        total += (x[part].to(wide).T @ beside.to(wide)).double()
    return total


def cross(xs: Features, ys: Features, permutation: Int[Tensor, " n"] | None = None) -> Float[Tensor, "a b"]:
    """Returns `Σ_ij K_ij L_π(i)π(j)` for every layer of both sides, all entries counted."""
    return torch.stack([torch.stack([product(x, y, permutation).square().sum() for y in ys]) for x in xs])


def squares(xs: Features) -> Float[Tensor, " a"]:
    """Returns `Σ_ij K_ij²` for every layer."""
    return torch.stack([product(x, x).square().sum() for x in xs])


def rows(x: Float[Tensor, "n d"], y: Float[Tensor, "n e"]) -> Float[Tensor, " n"]:
    """Returns `Σ_j K_ij L_ij` for every item i."""
    between = product(x, y).to(x.dtype)
    parts = range(0, len(x), _ITEMS)
    return torch.cat(
        [((x[s : s + _ITEMS] @ between) * y[s : s + _ITEMS]).sum(dim=1, dtype=torch.float64) for s in parts]
    )


def images(x: Float[Tensor, "n d"], weights: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Returns `K w`, float64."""
    parts = range(0, len(x), _ITEMS)
    total = torch.zeros(x.shape[1], dtype=torch.float64, device=x.device)
    for s in parts:
        total += x[s : s + _ITEMS].double().T @ weights[s : s + _ITEMS]
    return torch.cat([x[s : s + _ITEMS].double() @ total for s in parts])


def cheaper(xs: Features, ys: Features) -> bool:
    """Returns whether products of features take fewer operations than products of items.

    Through features: one product for each pair of layers, and for each layer with itself. Through items: half a Gram
    matrix for each layer.
    """
    n = len(xs[0])
    widths_a, widths_b = [x.shape[1] for x in xs], [y.shape[1] for y in ys]
    through_features = sum(widths_a) * sum(widths_b) + sum(w**2 for w in widths_a + widths_b)
    return 2 * through_features < n * sum(widths_a + widths_b)

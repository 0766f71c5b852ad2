"""Normalised kernel alignment of layers, centred and not: what the theorem of universal alignment speaks of."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def kernel_alignment(
    a: Sequence[Float[Tensor, "n _"]], b: Sequence[Float[Tensor, "n _"]], *, centred: bool = False
) -> Float[Tensor, "a b"]:
    """Returns ⟨K, L⟩ / (‖K‖ ‖L‖) of every layer of one side with every layer of the other, K = X Xᵀ.

    Args:
        a: layers, row i is item i.
        b: likewise, of the same items.
        centred: whether each feature's mean is taken off first, which makes it linear CKA.

    >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]).double()
    >>> kernel_alignment([x], [2 * x]).round(decimals=6).item()
    1.0
    """
    one, other = ([_middle(x) if centred else x for x in side] for side in (a, b))
    cross = torch.stack([torch.stack([(x.T @ y).square().sum() for y in other]) for x in one])
    lengths = [torch.stack([(x.T @ x).norm() for x in side]) for side in (one, other)]
    return cross / torch.outer(lengths[0], lengths[1])


def form_alignment(
    layers: Sequence[Float[Tensor, "n _"]], x: Tensor, form: Float[Tensor, "d d"]
) -> Float[Tensor, " a"]:
    """Returns the alignment of each layer's kernel with x₁ᵀ P x₂.

    Args:
        layers: row i is item i.
        x: `[n, d]`, the items.
        form: P, positive semi-definite.
    """
    values, vectors = torch.linalg.eigh((form + form.T) / 2)
    return kernel_alignment(layers, [x @ (vectors * values.clamp(min=0).sqrt())])[:, 0]


def _middle(x: Tensor) -> Tensor:
    return x - x.mean(0)

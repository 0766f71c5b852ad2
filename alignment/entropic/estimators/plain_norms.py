"""PlainNorms: layer and group norm from elementary operations, while it is entered.

The batching rule of torch's own (2.13) takes the mean and the deviation for constants where their gain's gradient is
differentiated again, so second derivatives under `torch.func.vmap` come out wrong. `test_estimators` shows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode


class PlainNorms(TorchFunctionMode):
    """Replaces `functional.layer_norm` and `functional.group_norm`."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs a torch function, or what stands in for it."""
        kwargs = kwargs or {}
        stand_in = {functional.layer_norm: _layer_norm, functional.group_norm: _group_norm}.get(func, func)
        return stand_in(*args, **kwargs)


def _layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    over = tuple(range(-len(normalized_shape), 0))
    found = _normal(input, over, eps)
    found = found if weight is None else found * weight
    return found if bias is None else found + bias


def _group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    grouped = input.reshape(len(input), num_groups, -1)
    found = _normal(grouped, (-1,), eps).reshape(input.shape)
    shape = (1, -1) + (1,) * (input.ndim - 2)
    found = found if weight is None else found * weight.reshape(shape)
    return found if bias is None else found + bias.reshape(shape)


def _normal(x: Tensor, over: tuple[int, ...], eps: float) -> Tensor:
    centred = x - x.mean(over, keepdim=True)
    return centred * (centred.square().mean(over, keepdim=True) + eps).rsqrt()

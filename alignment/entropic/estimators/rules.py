"""Rules: how the gradient at a function's output becomes each row's gradient of the parameters that entered it.

A rule returns the function's output and, for each argument that may be a parameter, a map from the output's gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from alignment.entropic.estimators.factors import Indices, Outer
from alignment.entropic.estimators.tape import Call, Contribution, Gradients, Rule, name_of
from alignment.errors import TrainingError


def linear(call: Call) -> tuple[Tensor, Gradients]:
    """Rule of `x Wᵀ + b`."""
    x: Tensor = call.batch(call.args[0], "input")
    return call(), [
        (call.get(1, "weight"), lambda d: Outer(_positions(d), _positions(x))),
        (call.get(2, "bias"), lambda d: _positions(d).sum(1)),
    ]


def embedding(call: Call) -> tuple[Tensor, Gradients]:
    """Rule of a table's rows; ids that are the same for all items count for each."""
    ids, weight = call.args[0], call.get(1, "weight")
    padding = call.get(2, "padding_idx")
    if call.get(3, "max_norm") is not None or call.get(5, "scale_grad_by_freq", False) or call.get(6, "sparse", False):
        raise TrainingError("an embedding with max_norm, scale_grad_by_freq or sparse gradients has no ghost norm")
    output = call()
    if len(ids) != call.rows:
        shared = ids[0] if ids.ndim > 1 and len(ids) == 1 else ids
        ids = shared.expand(call.rows, *shared.shape)
        output = (output[0] if output.ndim > ids.ndim else output).expand(*ids.shape, weight.shape[1])
    flat = ids.reshape(call.rows, -1)

    def gradient(d: Tensor) -> Contribution:
        right = d.reshape(call.rows, -1, weight.shape[1])
        if padding is not None:
            right = right.masked_fill((flat == padding % len(weight))[..., None], 0.0)
        return Outer(Indices(flat, len(weight)), right)

    return output, [(weight, gradient)]


def layer_norm(call: Call) -> tuple[Tensor, Gradients]:
    """Rule of layer norm's gain and bias."""
    x: Tensor = call.batch(call.args[0], "input")
    shape = tuple(call.get(1, "normalized_shape"))
    eps = call.get(4, "eps", 1e-5)

    def to_shape(d: Tensor) -> Tensor:
        return d.reshape(call.rows, -1, *shape).sum(1)

    def of_gain(d: Tensor) -> Tensor:
        # Made again when it is needed: kept from the forward pass, it would be one more activation a layer.
        return to_shape(d * functional.layer_norm(x, shape, None, None, eps))

    return call(), [(call.get(2, "weight"), of_gain), (call.get(3, "bias"), to_shape)]


def convolution(call: Call) -> tuple[Tensor, Gradients]:
    """Rule of convolution over one or two dimensions, with stride, padding, dilation and groups."""
    x: Tensor = call.batch(call.args[0], "input")
    weight: Tensor = call.get(1, "weight")
    spatial = weight.ndim - 2
    if spatial not in (1, 2) or x.ndim != weight.ndim:
        raise TrainingError(
            f"{name_of(call.function)} on {x.ndim} dimensions has no ghost norm; use finite differences"
        )
    stride, padding, dilation = (
        _pair(call.get(place, name, default), spatial, default)
        for place, name, default in ((3, "stride", 1), (4, "padding", 0), (5, "dilation", 1))
    )
    groups: int = call.get(6, "groups", 1)
    image = x[:, :, None] if spatial == 1 else x
    kernel = (1, weight.shape[2]) if spatial == 1 else tuple(weight.shape[2:])

    def of_weight(d: Tensor) -> Contribution:
        patches = functional.unfold(image, kernel, dilation, padding, stride)  # [b, channels * kernel, places]
        # Groups are matrices of their own: each as one more factor of the same row would mix them.
        left = d.reshape(call.rows, groups, d.shape[1] // groups, -1)
        right = patches.reshape(call.rows, groups, patches.shape[1] // groups, -1)
        if groups == 1:
            return Outer(left[:, 0].transpose(1, 2), right[:, 0].transpose(1, 2))
        return (left @ right.transpose(2, 3)).reshape(call.rows, *weight.shape)

    return call(), [(weight, of_weight), (call.get(2, "bias"), lambda d: d.flatten(2).sum(2))]


def addition(call: Call) -> tuple[Tensor, Gradients]:
    """Rule of a parameter that is added, broadcast over the batch."""
    if call.kwargs:
        raise TrainingError("a parameter added with a factor has no ghost norm; multiply first")
    return call(), [(value, _summed(value.shape)) for value in call.args[:2] if isinstance(value, Tensor)]


def multiplication(call: Call) -> tuple[Tensor, Gradients]:
    """Rule of a parameter that is multiplied, broadcast over the batch."""
    one, other = call.args[:2]
    if not isinstance(one, Tensor) or not isinstance(other, Tensor):
        raise TrainingError("a parameter times a number has no ghost norm; multiply what it is applied to")
    by_one, by_other = _summed(one.shape), _summed(other.shape)
    return call(), [(one, lambda d: by_one(d * other)), (other, lambda d: by_other(d * one))]


def _positions(value: Tensor) -> Tensor:
    return value.reshape(len(value), -1, value.shape[-1])


def _summed(shape: torch.Size) -> Callable[[Tensor], Tensor]:
    """Returns the map that sums over what `shape` was broadcast along, but not over the batch."""

    def to_shape(d: Tensor) -> Tensor:
        if len(shape) == d.ndim and shape[0] != 1:
            raise TrainingError("a parameter with one row an item is no weight; make it an input")
        lined = (1,) * (d.ndim - len(shape)) + tuple(shape)
        over = [i for i in range(1, d.ndim) if lined[i] == 1 and d.shape[i] != 1]
        kept = d.sum(over, keepdim=True) if over else d
        return kept.reshape(len(d), *shape)

    return to_shape


def _pair(value: Any, spatial: int, first: int) -> tuple[int, int]:
    """Returns a setting for two dimensions; `first` is that of the dimension of size one put before a single one."""
    if value == "valid":
        return 0, 0
    if isinstance(value, str):
        raise TrainingError("a convolution with padding 'same' has no ghost norm; give the padding as numbers")
    numbers = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    if spatial == 1:
        return first, numbers[0]
    return numbers[0], numbers[-1]


RULES: Mapping[Any, Rule] = {
    functional.linear: linear,
    functional.embedding: embedding,
    functional.layer_norm: layer_norm,
    functional.conv1d: convolution,
    functional.conv2d: convolution,
    torch.add: addition,
    Tensor.add: addition,
    Tensor.__add__: addition,
    Tensor.__radd__: addition,
    torch.mul: multiplication,
    Tensor.mul: multiplication,
    Tensor.__mul__: multiplication,
    Tensor.__rmul__: multiplication,
}

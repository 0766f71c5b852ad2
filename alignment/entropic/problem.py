"""Problem: a model, a loss and the rows that a gradient is taken on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from alignment.errors import TrainingError

Loss = Callable[[Tensor, Tensor], Tensor]  # outputs and targets, row i of both item i, to one loss a row


def square_error(outputs: Float[Tensor, "b *m"], targets: Float[Tensor, "b *m"]) -> Float[Tensor, " b"]:
    """Returns the sum of squares of each row.

    >>> square_error(torch.zeros(2, 3), torch.ones(2, 3))
    tensor([3., 3.])
    """
    return (outputs - targets).square().flatten(1).sum(1)


def cross_entropy(outputs: Float[Tensor, "b classes"], targets: Tensor) -> Float[Tensor, " b"]:
    """Returns the cross-entropy of each row, in nats; targets are class numbers."""
    return functional.cross_entropy(outputs, targets, reduction="none")


@dataclass(frozen=True, eq=False)
class Problem:
    """What a gradient is taken of, and on.

    Attributes:
        model: the network; its parameters that require gradients are trained.
        loss: from outputs and targets to one loss a row, each of its own row alone.
        inputs: `[b, …]`, row i is item i.
        targets: `[b, …]`.
        penalty_targets: targets for the entropy alone; None takes `targets`. Labels drawn from the model's own softmax
            make the entropy a Fisher trace, which is a variant and not the entropy of Ziyin, Xu and Chuang 2025.
        batched: whether `torch.func` can take all rows' gradients at once; else they are taken one after the other.
    """

    model: nn.Module
    loss: Loss
    inputs: Tensor
    targets: Tensor
    penalty_targets: Tensor | None = None
    batched: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.inputs, Tensor) or not isinstance(self.targets, Tensor):
            raise TrainingError(
                "inputs and targets are each one tensor whose rows are items; of several inputs give the items' "
                "numbers, and let the model look them up"
            )
        if not len(self.inputs) or len(self.inputs) != len(self.targets):
            raise TrainingError(
                f"{len(self.inputs)} rows of inputs and {len(self.targets)} of targets; give as many of both"
            )
        if not self.parameters:
            raise TrainingError("the model has no parameter that requires a gradient; unfreeze at least one")

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def parameters(self) -> Mapping[str, nn.Parameter]:
        """The trained parameters by name, in the model's order; a parameter that is used twice is here once."""
        return {name: p for name, p in self.model.named_parameters() if p.requires_grad}

    @property
    def noisy_targets(self) -> Tensor:
        """The targets that the entropy is taken with."""
        return self.targets if self.penalty_targets is None else self.penalty_targets

    def rows(self, index: slice | Tensor) -> Problem:
        """Returns the problem on some of the rows."""
        drawn = None if self.penalty_targets is None else self.penalty_targets[index]
        return replace(self, inputs=self.inputs[index], targets=self.targets[index], penalty_targets=drawn)

    def losses(self, outputs: Tensor, targets: Tensor) -> Float[Tensor, " b"]:
        """Returns one loss a row.

        Raises:
            TrainingError: if the loss gives another shape.
        """
        found = self.loss(outputs, targets)
        if found.shape != (len(self),):
            raise TrainingError(
                f"the loss gave the shape {list(found.shape)} for {len(self)} rows; give one loss a row, not their mean"
            )
        return found


def sampled_labels(outputs: Float[Tensor, "b classes"], generator: torch.Generator) -> Tensor:
    """Returns one label a row, drawn from the model's own softmax."""
    return torch.multinomial(outputs.detach().softmax(1), 1, generator=generator)[:, 0]

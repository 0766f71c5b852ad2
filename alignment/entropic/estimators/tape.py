"""Tape: what a forward pass did with each trained parameter, written down as it ran.

Every torch function that a parameter enters is seen here, whatever module called it, so a weight that is used twice is
counted twice, and a use that no rule knows is refused instead of being missed.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from alignment.entropic.estimators.factors import Outer
from alignment.errors import TrainingError

Explicit = Tensor  # each row's own gradient, `[b, *shape]`
Contribution = Outer | Explicit


@dataclass(frozen=True, eq=False)
class Use:
    """One use of a parameter: from the gradient at the function's output to the parameter's own.

    Attributes:
        name: the parameter's.
        output: the number of the output that the gradient is needed at.
        gradient: from that gradient, `[b, …]`, to this use's share of the parameter's.
    """

    name: str
    output: int
    gradient: Callable[[Tensor], Contribution]


Gradients = Sequence[tuple[Any, Callable[[Tensor], Contribution]]]  # for an argument, from the output's gradient
Rule = Callable[["Call"], tuple[Tensor, Gradients]]


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a torch function, its arguments by position."""

    function: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    rows: int

    def __call__(self) -> Tensor:
        """Returns what the function gives."""
        found: Tensor = self.function(*self.args, **self.kwargs)
        return found

    def get(self, place: int, name: str, default: Any = None) -> Any:
        """Returns an argument by its position or name."""
        return self.args[place] if place < len(self.args) else self.kwargs.get(name, default)

    def batch(self, value: Tensor, what: str) -> Tensor:
        """Returns `value`, known to hold one row an item.

        Raises:
            TrainingError: if its first dimension is not the batch.
        """
        if value.ndim == 0 or len(value) != self.rows:
            raise TrainingError(
                f"the {what} of {name_of(self.function)} has the shape {list(value.shape)} for {self.rows} rows; ghost "
                "norms need the batch as the first dimension: use the finite-difference or per-sample estimator"
            )
        return value


class Tape(TorchFunctionMode):
    """Writes down the uses of parameters while it is entered.

    Of what a function gave, only its place in the graph is kept: the memory of an output that no one needs is free.

    Attributes:
        outputs: where gradients are needed.
        shapes: of what the functions gave, those without a gradient too.
        uses: what was done with the parameters.
    """

    def __init__(self, parameters: Mapping[str, Tensor], rows: int, rules: Mapping[Any, Rule]) -> None:
        super().__init__()
        self._names = {id(p): name for name, p in parameters.items()}
        self._rows, self._rules = rows, rules
        self._versions: list[tuple[weakref.ref[Tensor], int]] = []
        self.outputs: list[GradientEdge] = []
        self.shapes: list[torch.Size] = []
        self.uses: list[Use] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs a torch function, and writes it down if a parameter enters it."""
        kwargs = kwargs or {}
        if func is functional.batch_norm and kwargs.get("training", len(args) > 5 and args[5]):
            raise TrainingError("batch norm mixes rows, so a row has no gradient of its own; call model.eval()")
        found = self._parameters((*args, *kwargs.values()))
        if not found:
            return func(*args, **kwargs)
        rule = self._rules.get(func)
        if rule is None:
            result = func(*args, **kwargs)
            if not _holds_tensor(result):  # a shape or a dtype was asked for
                return result
            raise TrainingError(
                f"{self._names[id(found[0])]} is used by {name_of(func)}, which ghost norms have no rule for; use the "
                "finite-difference or per-sample estimator"
            )
        call = Call(func, tuple(args), kwargs, self._rows)
        output, gradients = rule(call)
        call.batch(output, "output")
        self.shapes.append(output.shape)
        if not output.requires_grad:  # run without gradients
            return output
        for argument, gradient in gradients:
            name = self._names.get(id(argument))
            if name is not None:
                self.uses.append(Use(name, len(self.outputs), gradient))
        self.outputs.append(get_gradient_edge(output))
        seen = [value for value in (*args, output) if isinstance(value, Tensor) and not isinstance(value, nn.Parameter)]
        self._versions += [(weakref.ref(value), value._version) for value in seen]
        return output

    def check(self) -> None:
        """Checks that nothing that entered or left a function was overwritten after it was written down.

        Raises:
            TrainingError: if something was.
        """
        alive = [(value(), version) for value, version in self._versions]
        if any(value is not None and value._version != version for value, version in alive):
            raise TrainingError("the model overwrites a layer's input or output in place; set inplace=False")

    def _parameters(self, values: Sequence[Any]) -> list[Tensor]:
        return [v for v in _flat(values) if isinstance(v, nn.Parameter) and id(v) in self._names]


def name_of(function: Any) -> str:
    """Returns what messages call a torch function."""
    return str(getattr(function, "__name__", function)).strip("_")


def _flat(values: Sequence[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        found.extend(_flat(value) if isinstance(value, (tuple, list)) else [value])
    return found


def _holds_tensor(value: Any) -> bool:
    return any(isinstance(v, torch.Tensor) for v in _flat([value]))

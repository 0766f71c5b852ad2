"""Metric: a function and the facts that its laws are tested by."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment.metrics.moments import NullMoments
from alignment.views import Views

Invariance = Literal["orthogonal", "scaling", "translation", "row_scaling", "column_scaling"]
Values = Mapping[str, Any]  # a parameter's name to its value


class Pairing(ABC):
    """Two stacks of views, brought together once, ready to be scored under any pairing of their items.

    Attributes:
        together: how many permutations are scored at a time.
    """

    together: int = 1

    @property
    @abstractmethod
    def operations(self) -> float:
        """About how many floating-point operations one permuted grid takes: what a calibration's budget counts."""

    @abstractmethod
    def observed(self) -> Float[Tensor, "a b"]:
        """Returns the score of every layer of A against every layer of B, float64; NaN where it has no meaning."""

    @abstractmethod
    def permuted(self, permutation: Int[Tensor, " n"]) -> Float[Tensor, "a b"]:
        """Returns the same with item i of A paired with item `permutation[i]` of B."""

    def shuffled(self, permutations: Int[Tensor, "m n"]) -> Float[Tensor, "m a b"]:
        """Returns `permuted` of each permutation; at most `together` of them."""
        return torch.stack([self.permuted(permutation) for permutation in permutations])

    def null_mean(self) -> Float[Tensor, "a b"] | None:
        """Returns each cell's mean over all permutations, exactly; None where no formula gives it."""
        return None

    def null_moments(self) -> NullMoments | None:
        """Returns each cell's first three moments over all permutations; None where no formula gives them."""
        return None


class InfluencePairing(Pairing):
    """A pairing that knows what each item does to its scores, which is what an interval is made from."""

    @abstractmethod
    def influences(self, group: Int[Tensor, " n"], groups: int) -> Float[Tensor, "groups a b"]:
        """Returns how much each group of items moves each observed score.

        An item's influence is the derivative of the score by the item's weight, over n: the sum over all items is zero,
        and the sum of their squares estimates the score's variance.

        Args:
            group: the group of each item, from 0 to `groups - 1`.
            groups: how many there are.
        """


@dataclass(frozen=True)
class Parameter:
    """One parameter of a metric.

    Attributes:
        name: its name in a request.
        default: the value it has when it is not given; its type is the parameter's type.
        summary: one line on what it does.
        choices: the values allowed, if they are few.
        minimum: the least number allowed; `exclusive` says that it is itself not allowed.
    """

    name: str
    default: int | float | str
    summary: str
    choices: tuple[str, ...] = ()
    minimum: int | float | None = None
    exclusive: bool = False

    def schema(self) -> dict[str, Any]:
        """Returns its JSON schema."""
        kind = {int: "integer", float: "number", str: "string"}[type(self.default)]
        schema: dict[str, Any] = {"type": kind, "default": self.default, "description": self.summary}
        if self.choices:
            schema["enum"] = list(self.choices)
        if self.minimum is not None:
            schema["exclusiveMinimum" if self.exclusive else "minimum"] = self.minimum
        return schema


@dataclass(frozen=True)
class Metric:
    """A similarity of two layers, 1 for equal ones, and what is known of it. Each fact has a law test.

    Attributes:
        name: its name in a request.
        title: its name in a figure.
        family: `neighbours`, `kernel`, `subspace` or `regression`.
        summary: its definition in one sentence.
        reference: the paper.
        range: the least and the greatest score.
        symmetric: whether swapping the sides transposes the grid and changes nothing else.
        invariances: what may be done to one side alone without changing a score: `orthogonal` maps and `scaling` of all
            features, `translation` of all items, `row_scaling` of single items, `column_scaling` of single features.
            Those not listed change it.
        tolerance: how far a float32 score may be from the float64 definition, on any device, in any blocking.
        minimum_items: the fewest items that it has a meaning for, given its parameters.
        pair: brings two stacks of views together.
        parameters: what can be set.
        bounded: whether no score leaves the range; else the range is where scores are read.
        self_score: a layer's score with itself; None where the definition does not fix it.
        ordered: whether the items' order matters (folds).
        interval: whether simulation has shown its interval to cover as it says.
        undefined: why a healthy layer pair may have no score; None where it always has one.
        tiles: whether, given its parameters, it can be formed in tiles when whole matrices do not fit the budget.
    """

    name: str
    title: str
    family: Literal["neighbours", "kernel", "subspace", "regression"]
    summary: str
    reference: str
    range: tuple[float, float]
    symmetric: bool
    invariances: frozenset[Invariance]
    tolerance: float
    minimum_items: Callable[[Values], int]
    pair: Callable[[Views, Views, Values], Pairing]
    parameters: tuple[Parameter, ...] = ()
    bounded: bool = True
    self_score: float | None = 1.0
    ordered: bool = False
    interval: bool = False
    undefined: str | None = None
    tiles: Callable[[Values], bool] = lambda values: True

    def facts(self) -> dict[str, Any]:
        """Returns what `accord metrics` and the service's catalogue print."""
        return {
            "name": self.name,
            "title": self.title,
            "family": self.family,
            "summary": self.summary,
            "params": {
                "type": "object",
                "properties": {p.name: p.schema() for p in self.parameters},
                "additionalProperties": False,
            },
            "range": list(self.range),
            "bounded": self.bounded,
            "symmetric": self.symmetric,
            "invariances": sorted(self.invariances),
            "tolerance": self.tolerance,
            "interval": self.interval,
            "reference": self.reference,
        }

"""Shortage: which of a request's metrics have too few items, and whether that refuses all of it.

A metric below its minimum has no score, with the reason; the others are measured. A request is refused as a whole where
no metric of it could be measured, or where its own parameters ask for more than there is: a k that does not fit. A
parameter at its default asks for nothing, written out or not: a request that a report shows, every default filled in,
gives the same again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from alignment.metrics.choice import MetricChoice


@dataclass(frozen=True)
class Shortage:
    """Why a request cannot be met with so few items.

    Attributes:
        choice: the metric that it fails by: the one with too large a parameter, or that needs fewest.
        need: what is needed, as the beginning of a sentence.
        remedy: what would work.
    """

    choice: MetricChoice
    need: str
    remedy: str


def find_shortage(choices: Sequence[MetricChoice], items: int) -> Shortage | None:
    """Returns why metrics cannot be measured on so many items; None if they can, each or some of them.

    >>> find_shortage([MetricChoice.parse("svcca")], 11).need
    'svcca needs at least 12 items'
    >>> find_shortage([MetricChoice.parse("svcca"), MetricChoice.parse("mutual_knn:k=11")], 11).need
    'mutual_knn:k=11 needs at least 12 items'
    >>> find_shortage([MetricChoice.parse("svcca"), MetricChoice.parse("cka")], 11) is None
    True
    """
    for choice in choices:
        if choice.demanding and items < choice.least_items:
            parameters = " and ".join(choice.changed)
            return Shortage(choice, _need(choice), f"take more samples, or a smaller {parameters}")
    modest = min(choices, key=lambda choice: choice.least_items)
    if items >= modest.least_items:
        return None
    others = ", the other metrics no fewer" if len(choices) > 1 else ""
    return Shortage(modest, _need(modest) + others, "take more samples")


def fewest_items(choices: Sequence[MetricChoice]) -> int:
    """Returns how many items leave no shortage.

    >>> fewest_items([MetricChoice.parse("svcca"), MetricChoice.parse("cka")])
    3
    """
    demanded = [choice.least_items for choice in choices if choice.demanding]
    return max([*demanded, min(choice.least_items for choice in choices)])


def without_score(choice: MetricChoice, items: int) -> str:
    """Returns what a reader is told of a metric that there are too few items for."""
    return f"{choice.key} has no score: it needs at least {choice.least_items} items, and there are {items}"


def _need(choice: MetricChoice) -> str:
    return f"{choice.key} needs at least {choice.least_items} items"

"""Shelf: the views of a study's models, made when they are wanted and let go of when there is no room."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from alignment.activations import Activations
from alignment.comparison import Scoring, make_views
from alignment.views import Views

_LINE = 16  # the grams of fewer layers take no less (`CentredGrams.spread`)


class Shelf:
    """Views by the model's number.

    Attributes:
        block: how many models' views there is room for on each side of a pair.
    """

    def __init__(self, answers: Sequence[Activations], scoring: Scoring, room: int) -> None:
        self._answers, self._scoring = answers, scoring
        self._made: dict[int, Views] = {}
        most = max(view_bytes(answer, scoring) for answer in answers)
        fit = room // most
        self.block = len(answers) if fit >= len(answers) else max(1, fit // 2)

    def views(self, number: int) -> Views:
        """Returns a model's views, making them if they are not here."""
        if number not in self._made:
            self._made[number] = make_views(self._answers[number], self._scoring)
        return self._made[number]

    def of_items(self, number: int, rows: tuple[int, ...]) -> Views:
        """Returns a model's views of some of the items; of all of them, those that are here."""
        if len(rows) == len(self._answers[number]):
            return self.views(number)
        return make_views(self._answers[number].take(rows), self._scoring)

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Yields every pair of models once, the lower number first, and keeps no more views than there is room for."""
        for first, second in pairs_in_blocks(len(self._answers), self.block):
            wanted = {*first, *second}
            self._made = {number: views for number, views in self._made.items() if number in wanted}
            yield from ((one, other) for one in first for other in second if one < other)


def pairs_in_blocks(count: int, block: int) -> Iterator[tuple[range, range]]:
    """Yields pairs of blocks of numbers that together hold every pair of numbers once, one block in common in turn.

    >>> [(list(a), list(b)) for a, b in pairs_in_blocks(3, 2)]
    [([0, 1], [0, 1]), ([0, 1], [2]), ([2], [2])]
    """
    blocks = [range(start, min(start + block, count)) for start in range(0, count, block)]
    for place, first in enumerate(blocks):
        for second in blocks[place:]:
            yield first, second


def view_bytes(answer: Activations, scoring: Scoring) -> int:
    """Returns about how many bytes one model's views take at most: its activations, the edges of its neighbourhoods
    (each in a row of all layers), and for each other metric two stacks of matrices, each within the budget.
    """  # noqa: D205 - one sentence
    items, layers = len(answer), len(answer.layers)
    total = sum(value.numel() * value.element_size() for value in answer.values)
    sizes = {int(choice.values["k"]) for choice in scoring.metrics if "k" in choice.values}
    total += sum(18 * items * min(k * layers, items) * layers for k in sizes)
    matrices = sum(choice.metric.family != "neighbours" for choice in scoring.metrics)
    return total + matrices * 2 * min(scoring.budget, 4 * items**2 * -(-layers // _LINE) * _LINE)

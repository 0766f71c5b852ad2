"""count_corpus(): how often texts occur near each other in a corpus."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float

_TOKEN = re.compile(r"\w+")
Word = tuple[str, ...]


def tokens(text: str) -> list[str]:
    """Returns the words of a text, in one case.

    >>> tokens("The red-haired Fox!")
    ['the', 'red', 'haired', 'fox']
    """
    return _TOKEN.findall(text.casefold())


def count_corpus(lines: Iterable[str], texts: Sequence[str], window: int) -> Float[np.ndarray, "m m"]:
    """Returns `[items, items]` co-occurrence counts, symmetric.

    A line is a document. Along it an item occurs where its words stand in a row; of several that begin at one word the
    longest counts, and the search goes on behind it. Two occurrences are together if the later begins within `window`
    words of the earlier's end; each such pair counts once in (i, j) and once in (j, i), hence twice in (i, i). Items of
    the same words have the same counts, and an item without any word never occurs.

    Args:
        lines: the corpus.
        texts: the items.
        window: in words, at least 1.
    """
    words = [tuple(tokens(text)) for text in texts]
    place = {word: number for number, word in enumerate(dict.fromkeys(filter(None, words)))}
    counts = np.zeros((len(place) + 1, len(place) + 1))  # the last row and column: items without any word
    longest: dict[str, int] = {}  # the first word of an item to the most words that such an item has
    for word in place:
        longest[word[0]] = max(longest.get(word[0], 0), len(word))
    for line in lines:
        seen: list[tuple[int, int]] = []  # where an occurrence ends, and of which item
        for start, stop, item in _occurrences(tokens(line), place, longest):
            seen = [(end, other) for end, other in seen if start - end < window]
            for _, other in seen:
                counts[item, other] += 1
                counts[other, item] += 1
            seen.append((stop, item))
    index = [place.get(word, len(place)) for word in words]
    return counts[np.ix_(index, index)]


def _occurrences(
    line: Sequence[str], place: dict[Word, int], longest: dict[str, int]
) -> Iterable[tuple[int, int, int]]:
    at = 0
    while at < len(line):
        for length in range(min(longest.get(line[at], 0), len(line) - at), 0, -1):
            item = place.get(tuple(line[at : at + length]))
            if item is not None:
                yield at, at + length, item
                at += length
                break
        else:
            at += 1

"""Models of a study: all of them checked before any works, each extracted once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from alignment.activations import Activations
from alignment.comparison import Items, Source
from alignment.comparison.request import Extraction, Progress
from alignment.errors import ProbeError
from alignment.models import Hub, HuggingFaceHub
from alignment.study.request import Study

KEPT = 500_000_000  # weights that checked models may hold until their turn comes; others are loaded again then


class Models:
    """The models of a study that were found to fit its items."""

    def __init__(self, request: Study, items: Items, cache: Path | None, hub: Hub | None) -> None:
        """Opens every model.

        Raises:
            RequestError: if one cannot be loaded, or cannot take the probe set as asked; nothing was extracted.
        """
        self._items, self._cache, self._hub = items, cache, hub or HuggingFaceHub()
        self._asked: list[Extraction] = []
        self._open: list[Source | None] = []
        self.dtypes: dict[str, str | None] = {}
        room = KEPT
        for model in request.models:
            source = self._source(request.asked(model))
            self.dtypes[model] = source.dtype
            # What was checked is what will be extracted, even if a branch of the hub moves on meanwhile.
            self._asked.append(replace(source.request, model=str(source.ref)))
            weights = 0 if source.encoder is None else source.encoder.parameters
            self._open.append(source if weights <= room else None)
            room -= weights if weights <= room else 0

    def answers(self, progress: Progress) -> list[Activations]:
        """Returns each model's activations of the items, extracted once; a model is let go of when it has answered."""
        found = []
        count, total = len(self._items.drawn), len(self._items.drawn) * len(self._asked)
        progress("extract", 0, total)
        for number, asked in enumerate(self._asked):
            source = self._open[number] or self._source(asked)
            self._open[number] = None
            before = number * count
            found.append(
                source.answer(
                    self._items,
                    lambda _, done, __, before=before: progress("extract", before + done, total),  # type: ignore[misc]
                )
            )
            progress("extract", before + count, total)
        return found

    def _source(self, asked: Extraction) -> Source:
        source = Source.open(asked, self._items, self._cache, self._hub)
        drawn = self._items.drawn
        if source.encoder is not None and source.encoder.modality == "array" and "x" not in drawn.vectors:
            raise ProbeError(
                f"probe set {drawn.name!r} has vectors 'a' and 'b', one a side of a comparison; a study has no sides "
                "and needs them as 'x'"
            )
        return source

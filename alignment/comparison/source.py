"""Source: one side of a comparison, ready to answer the items that were drawn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from alignment.activations import Activations, select_layers
from alignment.comparison.request import DTYPES, Extraction, Progress, place
from alignment.extraction import check_fit, extract, from_file
from alignment.hub import Datasets
from alignment.models import Encoder, Hub, load_encoder, resolve
from alignment.probes import ProbeSet, load_probe
from alignment.references import ModelRef
from alignment.report import ReportWarning


@dataclass(frozen=True)
class Items:
    """A probe set, and what was drawn of it."""

    whole: ProbeSet
    drawn: ProbeSet

    @classmethod
    def of(cls, request: Extraction, datasets: Datasets | None = None) -> Items:
        """Returns what the request draws; data sets of the hub come from `datasets`.

        Raises:
            RequestError: if the probe set cannot be read.
        """
        whole = load_probe(request.probe, datasets=datasets)
        return cls(whole, whole.sample(request.samples, request.seed))

    def warnings(self, samples: int) -> tuple[ReportWarning, ...]:
        """Returns a warning if fewer items could be drawn than were asked for."""
        return fewer_samples(samples, len(self.whole))


def fewer_samples(samples: int, whole: int) -> tuple[ReportWarning, ...]:
    """Returns a warning if more items were asked for than a probe set has."""
    if samples <= whole:
        return ()
    detail = f"{samples} samples were asked for and the probe set has {whole}; all were taken"
    return (ReportWarning("fewer_samples", detail),)


@dataclass(frozen=True)
class Source:
    """One side, ready to answer: a model that was found to fit, or activations that were there already."""

    request: Extraction
    ref: ModelRef
    encoder: Encoder | None = None
    ready: Activations | None = None

    @classmethod
    def open(
        cls, request: Extraction, items: Items, cache: Path | None, hub: Hub, like: Source | None = None
    ) -> Source:
        """Returns the side, having refused all that can be refused before it works; `like` may lend its model."""
        ref = resolve(ModelRef.parse(request.model), hub)
        if ref.scheme == "features":
            read = from_file(ref.name, items.drawn, len(items.whole))
            return cls(request, ref, ready=read.select(request.layers))
        if like is not None and like.ref == ref and like.encoder is not None:
            encoder = like.encoder
        else:
            encoder = load_encoder(ref, device=place(request.device), dtype=DTYPES[request.dtype], cache=cache, hub=hub)
        check_fit(encoder, items.drawn, request.pooling, request.side)
        select_layers([layer.name for layer in encoder.layers], request.layers)
        return cls(request, ref, encoder=encoder)

    @property
    def dtype(self) -> str | None:
        """What the model computes in; None where there is none."""
        return None if self.encoder is None else str(self.encoder.dtype).removeprefix("torch.")

    def answer(self, items: Items, progress: Progress) -> Activations:
        """Returns the activations, extracting them if they were not there."""
        if self.encoder is None:
            assert self.ready is not None  # noqa: S101 - one of the two is always there
            return self.ready
        stage = f"extract_{self.request.side}"
        return extract(
            self.encoder,
            items.drawn,
            side=self.request.side,
            pooling=self.request.pooling,
            layers=self.request.layers,
            progress=lambda done, total: progress(stage, done, total),
        )

"""compare(): from two models' names and a probe set's to a report."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from alignment.activations import Activations, select_layers
from alignment.comparison.request import DTYPES, Comparison, Extraction, Progress, place
from alignment.comparison.score import measure, silent
from alignment.extraction import check_fit, extract, from_file
from alignment.models import Encoder, Hub, HuggingFaceHub, load_encoder, resolve
from alignment.probes import ProbeSet, load_probe
from alignment.references import ModelRef
from alignment.report import AlignmentReport, ReportWarning


def compare(
    request: Comparison, *, cache: Path | None = None, hub: Hub | None = None, progress: Progress = silent
) -> AlignmentReport:
    """Returns how alike two models represent a probe set.

    Args:
        request: what to compare.
        cache: a folder for converted weights; None keeps none.
        hub: where hub models come from; None is Hugging Face's.
        progress: called with the stage (`extract_a`, `extract_b`, `score`, `calibrate`), how much is done, of how much.

    Raises:
        RequestError: if it cannot be done as asked; nothing was started.
        WorkError: if it was started and could not be finished.
    """
    asked_a, asked_b = request.sides()
    items = _Items.of(asked_a)
    request.scoring.require_items(len(items.drawn))
    a = _Source.open(asked_a, items, cache, hub or HuggingFaceHub())
    b = _Source.open(asked_b, items, cache, hub or HuggingFaceHub(), like=a)
    answers = [source.answer(items, progress) for source in (a, b)]
    made_from = {
        "probe_sha256": items.whole.sha256,
        "items_sha256": items.drawn.sha256,
        "dtype": {"a": a.dtype, "b": b.dtype},
        "request": request.to_dict(),
    }
    report = measure(answers[0], answers[1], request.scoring, made_from, progress)
    return replace(report, warnings=items.warnings(request.samples) + report.warnings)


def extract_model(
    request: Extraction, *, cache: Path | None = None, hub: Hub | None = None, progress: Progress = silent
) -> Activations:
    """Returns one model's activations on a probe set; arguments and errors as `compare`'s."""
    items = _Items.of(request)
    return _Source.open(request, items, cache, hub or HuggingFaceHub()).answer(items, progress)


@dataclass(frozen=True)
class _Items:
    """A probe set, and what was drawn of it."""

    whole: ProbeSet
    drawn: ProbeSet

    @classmethod
    def of(cls, request: Extraction) -> _Items:
        whole = load_probe(request.probe)
        return cls(whole, whole.sample(request.samples, request.seed))

    def warnings(self, samples: int) -> tuple[ReportWarning, ...]:
        if samples <= len(self.whole):
            return ()
        detail = f"{samples} samples were asked for and the probe set has {len(self.whole)}; all were taken"
        return (ReportWarning("fewer_samples", detail),)


@dataclass(frozen=True)
class _Source:
    """One side, ready to answer: a model that was found to fit, or activations that were there already."""

    request: Extraction
    ref: ModelRef
    encoder: Encoder | None = None
    ready: Activations | None = None

    @classmethod
    def open(
        cls, request: Extraction, items: _Items, cache: Path | None, hub: Hub, like: _Source | None = None
    ) -> _Source:
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
        return None if self.encoder is None else str(self.encoder.dtype).removeprefix("torch.")

    def answer(self, items: _Items, progress: Progress) -> Activations:
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

"""Study: which models are measured against each other, on which items, and against what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from alignment.activations import Layers
from alignment.comparison import Extraction, Scoring
from alignment.errors import RequestError
from alignment.models import Pooling
from alignment.references import ModelRef
from alignment.study.capability import check_capability
from alignment.study.reference.source import KernelSource

MOST_MODELS = 64
ROOM = 4 << 30  # bytes
T = TypeVar("T")


@dataclass(frozen=True)
class Study:
    """N models against each other on one probe set. The defaults are a comparison's.

    Attributes:
        models: 2 to 64 models, as in `Extraction`, each once.
        probe: a probe set: `builtin:…`, or a file or folder; each model takes its modality of it.
        scoring: how two models are compared; its `layers` stay `all`, since a study has its own.
        layers: which layers are kept: one choice for all models, or one a model (those left out keep all).
        pooling: how positions become one vector: one for all models, or one a model (those left out take the mean).
        samples: how many items to draw; more than there are takes all.
        dtype: what the models compute in.
        capability: a number a model, for the trend.
        reference: a kernel that every layer is held against.
        room: bytes that the views of all models may take together. Beyond it models are taken in blocks, and the views
            of a block made anew for each block that it meets.
    """

    models: tuple[str, ...]
    probe: str
    scoring: Scoring = field(default_factory=Scoring)
    layers: Layers | Mapping[str, Layers] = "all"
    pooling: Pooling | Mapping[str, Pooling] = "mean"
    samples: int = 1024
    dtype: str = "auto"
    capability: Mapping[str, float] | None = None
    reference: KernelSource | None = None
    room: int = ROOM

    def __post_init__(self) -> None:
        if not 2 <= len(self.models) <= MOST_MODELS:
            raise RequestError(f"a study takes 2 to {MOST_MODELS} models, not {len(self.models)}")
        for model in self.models:
            ModelRef.parse(model)
            if self.models.count(model) > 1:
                raise RequestError(f"{model} is named twice; a study takes each model once")
        if self.scoring.layers != ("all", "all"):
            raise RequestError("a study takes layers for all models, or by model, not by side")
        for what, given in (("layers", self.layers), ("pooling", self.pooling)):
            for model in given if isinstance(given, Mapping) else ():
                if model not in self.models:
                    raise RequestError(f"{what} are given for {model}, which the study does not have")
        if self.capability is not None:
            object.__setattr__(self, "capability", check_capability(self.capability, self.models))
        for model in self.models:
            self.asked(model)

    def asked(self, model: str) -> Extraction:
        """Returns what is asked of one model."""
        return Extraction(
            model,
            self.probe,
            _of(self.layers, model, "all"),
            _of(self.pooling, model, "mean"),
            self.samples,
            self.scoring.seed,
            "a",
            self.scoring.device,
            self.dtype,
        )

    def to_dict(self) -> dict[str, Any]:
        """Returns the request with every default filled in."""
        return {
            "models": list(self.models),
            "probe": self.probe,
            "samples": self.samples,
            "dtype": self.dtype,
            **self.scoring.to_dict(),
            "layers": self.layers,
            "pooling": self.pooling,
            "capability": self.capability,
            "reference": None if self.reference is None else self.reference.to_dict(),
        }


def _of(given: T | Mapping[str, T], model: str, default: T) -> T:
    return given.get(model, default) if isinstance(given, Mapping) else given

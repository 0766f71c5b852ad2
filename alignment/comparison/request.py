"""What is asked for: Extraction, one model's answers; Scoring, how two are compared; Comparison, both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from alignment.activations import Layers
from alignment.calibration import Calibration
from alignment.errors import RequestError, UnknownNameError
from alignment.metrics import MetricChoice, find_shortage, parse_metrics
from alignment.models import POOLINGS, Pooling
from alignment.preprocessing import Preprocessing
from alignment.probes.probe_set import Side
from alignment.references import ModelRef
from alignment.views.stack import GIBIBYTE

Progress = Callable[[str, int, int], None]  # stage (extract_a, extract_b, score, calibrate), done, total
SIDES: tuple[Side, Side] = ("a", "b")
DTYPES = {
    "auto": None,
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float64": torch.float64,
}


def check_seed(seed: int) -> None:
    """Checks that a seed is one.

    Raises:
        RequestError: if it is negative, or takes more than 63 bits.
    """
    if not 0 <= seed < 1 << 63:
        raise RequestError(f"seed must be between 0 and 2^63 - 1, not {seed}")


def place(device: str) -> torch.device:
    """Returns the device that `auto`, `cpu`, `cuda` or `cuda:N` means here.

    Raises:
        RequestError: if there is no such device.
    """
    if device == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    kind, _, number = device.partition(":")
    if kind not in ("cpu", "cuda") or (number and (kind == "cpu" or not number.isdigit())):
        raise RequestError(f"device must be auto, cpu or cuda:N, not {device!r}")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise RequestError(f"there is no device {device!r} here; this machine has {torch.cuda.device_count()} GPUs")
    return torch.device("cpu" if kind == "cpu" else f"cuda:{int(number or 0)}")


@dataclass(frozen=True)
class Scoring:
    """How two sets of activations are compared. The defaults give the Platonic Representation Hypothesis's own metric.

    Attributes:
        metrics: the metrics, each with its parameters.
        layers: which layers of A and of B: `all`, `last`, or names and numbers.
        preprocess: clipping and normalising.
        calibration: permutations and resamples.
        seed: what every random choice comes from.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        budget: bytes that one view may keep on the device.
    """

    metrics: tuple[MetricChoice, ...] = field(default_factory=lambda: parse_metrics(["mutual_knn"]))
    layers: tuple[Layers, Layers] = ("all", "all")
    preprocess: Preprocessing = field(default_factory=Preprocessing)
    calibration: Calibration = field(default_factory=Calibration)
    seed: int = 0
    device: str = "auto"
    budget: int = GIBIBYTE

    def __post_init__(self) -> None:
        check_seed(self.seed)
        place(self.device)

    def require_items(self, items: int) -> None:
        """Checks that there are items enough: for a metric at least, and for the parameters that were asked for.

        Raises:
            RequestError: if nothing could be measured on so many `items`, or a k does not fit them.
        """
        short = find_shortage(self.metrics, items)
        if short is not None:
            raise RequestError(f"{short.need}, and there are {items}; {short.remedy}")

    def to_dict(self) -> dict[str, Any]:
        """Returns every setting, defaults filled in, in the words of a request."""
        one_for_both = self.layers[0] == self.layers[1] and isinstance(self.layers[0], str)
        return {
            "metrics": [{"name": c.metric.name, "params": dict(c.values)} for c in self.metrics],
            "layers": self.layers[0] if one_for_both else dict(zip("ab", self.layers, strict=True)),
            "device": self.device,
            "preprocess": {"clip": self.preprocess.clip, "normalize": self.preprocess.normalize},
            "seed": self.seed,
            "calibration": {
                "permutations": self.calibration.permutations,
                "resamples": self.calibration.resamples,
                "level": self.calibration.level,
            },
        }


@dataclass(frozen=True)
class Extraction:
    """Which model answers which items.

    Attributes:
        model: a model, as `builtin:…`, `hf:…`, `timm:…`, `path:…` or `features:…`.
        probe: a probe set: `builtin:…`, or a file or folder.
        layers: which layers are kept.
        pooling: how positions become one vector.
        samples: how many items to draw; None, or more than there are, takes all.
        seed: what they are drawn by.
        side: which view of a probe set of vectors.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        dtype: what the model computes in; `auto` is float32, on a GPU a half-precision checkpoint's own.
    """

    model: str
    probe: str
    layers: Layers = "all"
    pooling: Pooling = "mean"
    samples: int | None = None
    seed: int = 0
    side: Side = "a"
    device: str = "auto"
    dtype: str = "auto"

    def __post_init__(self) -> None:
        for kind, value, known in (
            ("pooling", self.pooling, POOLINGS),
            ("dtype", self.dtype, DTYPES),
            ("side", self.side, SIDES),
        ):
            if value not in known:
                raise UnknownNameError(kind, value, known)
        if self.samples is not None and self.samples < 1:
            raise RequestError(f"samples must be at least 1, not {self.samples}")
        check_seed(self.seed)
        place(self.device)
        ModelRef.parse(self.model)


@dataclass(frozen=True)
class Comparison:
    """Which models are compared, and on which items.

    Attributes:
        model_a: a model, as in `Extraction`.
        model_b: the other; may be the same.
        probe: a probe set: `builtin:…`, or a file or folder.
        scoring: how they are compared.
        pooling: how each side's positions become one vector.
        samples: how many items to draw; more than there are takes all.
        dtype: what the models compute in.
    """

    model_a: str
    model_b: str
    probe: str
    scoring: Scoring = field(default_factory=Scoring)
    pooling: tuple[Pooling, Pooling] = ("mean", "mean")
    samples: int = 1024
    dtype: str = "auto"

    def __post_init__(self) -> None:
        self.sides()

    def sides(self) -> tuple[Extraction, Extraction]:
        """Returns what is asked of each model."""
        models, scoring = (self.model_a, self.model_b), self.scoring
        a, b = (
            Extraction(
                models[number],
                self.probe,
                scoring.layers[number],
                self.pooling[number],
                self.samples,
                scoring.seed,
                side,
                scoring.device,
                self.dtype,
            )
            for number, side in enumerate(SIDES)
        )
        return a, b

    def to_dict(self) -> dict[str, Any]:
        """Returns the request with every default filled in."""
        return {
            "model_a": self.model_a,
            "model_b": self.model_b,
            "probe": self.probe,
            "samples": self.samples,
            "pooling": dict(zip("ab", self.pooling, strict=True)),
            "dtype": self.dtype,
            **self.scoring.to_dict(),
        }

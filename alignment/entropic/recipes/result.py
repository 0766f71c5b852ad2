"""TrainingResult: what a training found, as frozen plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from alignment.entropic.rows import Rows
from alignment.entropic.training.point import AlignmentPoint
from alignment.models import OwnNetwork


@dataclass(frozen=True, eq=False)
class Prediction:
    """One network beside the theory; ratios are measured over predicted.

    Attributes:
        kernel: P of (4.1): every hidden layer's kernel should be a multiple of x₁ᵀ P x₂, x the network's input.
        kernel_error: 1 - the lowest alignment of a hidden layer's kernel with the predicted one (4.1).
        entropy_ratio: E‖g‖² over 4 D T (4.2).
        sharpness_ratio: the Hessian's trace over that of the entropic minimum (5.1).
        sharpness_vs_flattest: over that of the flattest minimum (5.2).
        collapse: the step η at which the weakest mode would be gone, to first order.
    """

    kernel: Float[Tensor, "d d"]
    kernel_error: float
    entropy_ratio: float
    sharpness_ratio: float
    sharpness_vs_flattest: float
    collapse: float

    def to_dict(self) -> dict[str, float]:
        """Returns its numbers as plain JSON."""
        return {name: value for name, value in vars(self).items() if name != "kernel"}


@dataclass(frozen=True)
class Member:
    """One trained network.

    Attributes:
        network: the network itself.
        rows: what it was trained on.
        loss: its mean loss on the data that it was trained on, or held-out data where the recipe has some.
        accuracy: the share of held-out items it classifies right; None where the task is no classification.
        trace: its Hessian's trace.
        largest: its Hessian's largest eigenvalue.
        prediction: the theory beside it; None where there is none.
    """

    network: OwnNetwork
    rows: Rows
    loss: float
    accuracy: float | None
    trace: float
    largest: float
    prediction: Prediction | None


@dataclass(frozen=True)
class TrainingWarning:
    """What a reader should know before using the numbers."""

    code: str
    detail: str


_ALIGNED = ("step", "min", "mean", "calibrated", "grid", "calibrated_grid")  # what a point says of the alignment


@dataclass(frozen=True)
class TrainingResult:
    """A finished training.

    Attributes:
        members: A and B.
        measure: what the alignment is: `nka` or `cka`.
        grid: alignment of each hidden layer of A (rows) with each of B.
        calibrated: the same against shuffled items, where the measure is calibrated.
        outputs: linear CKA of the two networks' outputs.
        extra: other measures of the hidden layers' grid, by name: the mean over matched depths or over all pairs.
        history: from the first step to the last.
        warnings: what to know.
        provenance: every argument with its default filled in, versions, seed, device, dtype.
        seconds: of processor time.
        probe: the two views of fresh items that the models can be compared on, by name; empty where `probe_name` is.
        probe_name: the built-in probe set that they can be compared on, where that is no vectors.
    """

    members: tuple[Member, Member]
    measure: str
    grid: Sequence[Sequence[float]]
    calibrated: Sequence[Sequence[float]] | None
    outputs: float
    extra: Mapping[str, Any]
    history: tuple[AlignmentPoint, ...]
    warnings: tuple[TrainingWarning, ...]
    provenance: Mapping[str, Any]
    seconds: float
    probe: Mapping[str, Any]
    probe_name: str | None = None

    @property
    def lowest(self) -> float:
        """The lowest alignment of a hidden layer of A with one of B; NaN, as the mean is, if one has no meaning."""
        cells = [cell for row in self.grid for cell in row]
        return math.nan if any(map(math.isnan, cells)) else min(cells)

    @property
    def mean(self) -> float:
        """The mean alignment over these pairs."""
        cells = [cell for row in self.grid for cell in row]
        return sum(cells) / len(cells)

    def layers(self, member: int) -> list[str]:
        """Returns the names of a member's hidden layers, as an encoder gives them."""
        return list(self.members[member].network.config.layer_names)

    def to_dict(self, models: Mapping[str, str | None]) -> dict[str, Any]:
        """Returns it as the contract's JSON.

        Args:
            models: where the two are kept, by `a` and `b`.
        """
        last = self.history[-1]
        points = [point.to_dict() for point in self.history]
        members = dict(zip("ab", self.members, strict=True))
        return {
            "models": dict(models),
            "alignment": {
                "measure": self.measure,
                "min": self.lowest,
                "mean": self.mean,
                "layers_a": self.layers(0),
                "layers_b": self.layers(1),
                "grid": [list(row) for row in self.grid],
                "calibrated": None if self.calibrated is None else [list(row) for row in self.calibrated],
                "outputs": self.outputs,
                **self.extra,
                "history": [{key: p[key] for key in _ALIGNED} for p in points],
            },
            "balance": {
                "neuron": last.neuron,
                "layer": last.layer,
                "matrix": last.matrix,
                "attention": last.attention,
                "history": [
                    {key: p[key] for key in ("step", "neuron", "layer", "matrix", "attention")} for p in points
                ],
            },
            "prediction": self._prediction(),
            "sharpness": {name: {"trace": m.trace, "largest": m.largest} for name, m in members.items()},
            "task": {name: {"loss": m.loss, "accuracy": m.accuracy} for name, m in members.items()},
            "loss": {"history": [{"step": p["step"], "a": p["loss"][0], "b": p["loss"][1]} for p in points]},
            "warnings": [vars(w) for w in self.warnings],
            "provenance": dict(self.provenance),
        }

    def _prediction(self) -> dict[str, Any] | None:
        """Returns each number of the network that is further from the theory, and both networks' own."""
        found = [m.prediction.to_dict() for m in self.members if m.prediction is not None]
        if len(found) < 2:
            return None
        worst: dict[str, Any] = {"kernel_error": max(f["kernel_error"] for f in found)}
        for name in ("entropy_ratio", "sharpness_ratio", "sharpness_vs_flattest"):
            worst[name] = max((f[name] for f in found), key=lambda ratio: abs(math.log(max(ratio, 1e-300))))
        worst["collapse"] = min(f["collapse"] for f in found)
        return {**worst, "a": found[0], "b": found[1]}

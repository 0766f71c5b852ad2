"""FinetuneResult: where a fine-tuned model stands beside the other, before and after, as frozen plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from alignment.entropic.calibrated import CalibratedGrid
from alignment.entropic.pretrained.contrastive import TASK
from alignment.models.trainable import Trainable

METRICS = ("cka", "mutual_knn")


@dataclass(frozen=True)
class Standing:
    """How the model stands at one moment, on held-out items.

    Attributes:
        scores: each metric's grid of its layers (rows) with the other's.
        task: its mean loss.
    """

    scores: Mapping[str, CalibratedGrid]
    task: float

    def last(self, metric: str) -> float:
        """Returns the calibrated score of the two last layers."""
        return self.scores[metric].calibrated[-1][-1]

    def raw(self) -> dict[str, float]:
        """Returns the task's loss, and each metric of the two last layers, uncalibrated."""
        return {"task": self.task, **{metric: grid.score[-1][-1] for metric, grid in self.scores.items()}}

    def to_dict(self) -> dict[str, Any]:
        """Returns it as plain JSON."""
        return {"task": self.task, "metrics": {m: {**vars(g), "last": self.last(m)} for m, g in self.scores.items()}}


@dataclass(frozen=True)
class FinetuneResult:
    """A finished fine-tuning.

    Attributes:
        model: the model, fine-tuned.
        layers_a: its layers.
        layers_b: the other's.
        before: where it stood.
        after: where it stands.
        moved: the metrics' scores of its last layer before with the same after: how little it moved.
        history: by step, the batch's loss, and on the held-out items the task's and the uncalibrated scores of the two
            last layers.
        held_out: the items that it was examined on.
        provenance: every argument with its default filled in, versions, fingerprints.
        seconds: of processor time.
    """

    model: Trainable
    layers_a: Sequence[str]
    layers_b: Sequence[str]
    before: Standing
    after: Standing
    moved: Mapping[str, float]
    history: Sequence[Mapping[str, Any]]
    held_out: Sequence[Any]
    provenance: Mapping[str, Any]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Returns it as plain JSON."""
        return {
            "task": TASK,
            "layers_a": list(self.layers_a),
            "layers_b": list(self.layers_b),
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
            "moved": dict(self.moved),
            "history": [dict(point) for point in self.history],
            "held_out": len(self.held_out),
            "provenance": dict(self.provenance),
            "seconds": self.seconds,
        }

"""AlignmentPoint: how a pair stands at one step of its training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class AlignmentPoint:
    """The alignment and balance of the pair at one step.

    Attributes:
        step: steps taken by each network.
        lowest: the lowest alignment of a hidden layer of A with one of B.
        mean: the mean over these pairs.
        neuron: the worse network's balance residual of units; None where there is no such law.
        layer: of layers.
        matrix: of matrices.
        loss: the two networks' losses.
        attention: of attention's pairs of matrices.
        calibrated: the mean alignment against shuffled items, where the measure is calibrated.
        grid: the alignment of each hidden layer of A (rows) with each of B; None in a state kept before there was one.
        calibrated_grid: the same against shuffled items, where the measure is calibrated.
    """

    step: int
    lowest: float
    mean: float
    neuron: float | None
    layer: float | None
    matrix: float | None
    loss: tuple[float, float]
    attention: float | None = None
    calibrated: float | None = None
    grid: list[list[float]] | None = None
    calibrated_grid: list[list[float]] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Returns it as plain JSON, from which `from_dict` makes it again."""
        return {
            "step": self.step,
            "min": self.lowest,
            "mean": self.mean,
            "neuron": self.neuron,
            "layer": self.layer,
            "matrix": self.matrix,
            "loss": list(self.loss),
            "attention": self.attention,
            "calibrated": self.calibrated,
            "grid": self.grid,
            "calibrated_grid": self.calibrated_grid,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> AlignmentPoint:
        """Returns the point that `to_dict` wrote."""
        a, b = values["loss"]
        residuals = (values["neuron"], values["layer"], values["matrix"])
        return cls(
            values["step"],
            values["min"],
            values["mean"],
            *residuals,
            (a, b),
            attention=values["attention"],
            calibrated=values["calibrated"],
            grid=values.get("grid"),
            calibrated_grid=values.get("calibrated_grid"),
        )

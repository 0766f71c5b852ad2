"""What to know of a nonlinear pair's numbers before they are used."""

from __future__ import annotations

import math
from collections.abc import Sequence

from alignment.entropic.recipes.request import TrainingRequest
from alignment.entropic.recipes.result import TrainingWarning
from alignment.models import OwnNetwork


def nonlinear_warnings(
    request: TrainingRequest, grid: Sequence[Sequence[float]], networks: Sequence[OwnNetwork]
) -> tuple[TrainingWarning, ...]:
    """Returns the warnings.

    Args:
        request: what was asked for.
        grid: alignment of each hidden layer of A (rows) with each of B, NaN where it has no meaning.
        networks: A and B.
    """
    found = []
    if request.objective == "entropic" and request.labels == "sampled":
        detail = "the entropy's labels were sampled from the model, which makes it a trace of the Fisher information"
        found.append(TrainingWarning("sampled_labels", detail))
    for member, network, rows in zip("ab", networks, (grid, list(zip(*grid, strict=True))), strict=True):
        names = network.config.layer_names
        gone = [name for name, row in zip(names, rows, strict=True) if all(map(math.isnan, row))]
        if gone:
            detail = (
                f"all held-out items are one point in {', '.join(gone)} of {member}, so that it aligns with nothing; "
                "if the items differ, lower the weight decay or the strength"
            )
            found.append(TrainingWarning("constant_layer", detail))
    return tuple(found)

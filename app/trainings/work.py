"""train_pair(): the work of a training: two models, kept as files, and what was measured of them."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from alignment.entropic.recipes import TrainingRequest, train
from alignment.errors import ProbeError
from alignment.models import load_encoder
from alignment.probes import load_probe
from alignment.references import ModelRef
from app.jobs import Context, Done
from app.jobs.handler import FIGURES
from app.scoring.hiding import hide_folders, hide_probe
from app.scoring.stages import Stages
from app.storage import new_id
from app.trainings.figures import TRAINED
from app.trainings.files import UNFINISHED, JobKeeper, place_of, write_pair


def train_pair(payload: Mapping[str, Any], context: Context) -> Done:
    """Returns the training's result, once its models are on the disk.

    The numbers are those of `alignment.entropic.recipes.train` for the same request on one thread, and of `accord
    train`; one that was broken off goes on from the state that was kept last.

    Raises:
        RequestError: if it cannot be done as asked.
        DivergenceError: if a loss is no longer a number.
    """
    hide_folders(context)
    probe = payload["probe"]
    if probe is not None:
        hide_probe(context, probe, probe["name"])
        if load_probe(probe["reference"], name=probe["name"]).sha256 != probe["sha256"]:
            raise ProbeError(f"probe set {probe['name']!r} holds other items than when it was registered")
    stages = Stages(context)
    torch.set_num_threads(1)  # networks this small gain nothing from a second one, and sums keep their order
    place = place_of(context.settings, payload["place"])
    attempt = uuid.uuid4().hex
    keeper = JobKeeper(place / UNFINISHED, attempt)
    result = train(TrainingRequest(**payload["training"]), keeper, stages.progress)
    stages.progress("store", 0, 1)
    write_pair(result, place / attempt)
    trained = {member: _facts(place / attempt / member) for member in "ab"}
    beside = sum(file.stat().st_size for file in (place / attempt).iterdir() if file.is_file())
    trained["a"]["bytes"] += beside // 2  # the items to compare on stay for either model
    trained["b"]["bytes"] += beside - beside // 2
    found = result.to_dict({member: facts["id"] for member, facts in trained.items()})
    found["probe"] = result.probe_name
    found["provenance"] = {
        **found["provenance"],
        "request": payload["request"],
        **({} if probe is None else {"probe_sha256": probe["sha256"]}),
    }
    return Done({**finite(found), FIGURES: {**stages.figures(), TRAINED: trained}})


def _facts(folder: Path) -> dict[str, Any]:
    """Returns what is registered of a model, which is loaded once to be sure that it can be."""
    encoder = load_encoder(ModelRef("path", str(folder)))
    return {
        "id": new_id("model"),
        "reference": f"path:{folder}",
        "modality": encoder.modality,
        "layers": [{"name": layer.name, "width": layer.width} for layer in encoder.layers],
        "poolings": list(encoder.poolings),
        "parameters": encoder.parameters,
        "fingerprint": encoder.fingerprint,
        "bytes": sum(file.stat().st_size for file in folder.iterdir()),
    }


def finite(value: Any) -> Any:
    """Returns plain JSON with null for what is no number: an alignment of layers that are zero, say.

    >>> finite({"min": float("nan"), "grid": [[1.0, float("inf")]]})
    {'min': None, 'grid': [[1.0, None]]}
    """
    if isinstance(value, Mapping):
        return {name: finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

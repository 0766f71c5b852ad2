"""What a job's payload asks for, in the terms of the science, on the device of the worker that does it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alignment.calibration import Calibration
from alignment.comparison import Items, Scoring
from alignment.errors import ProbeError, RequestError
from alignment.extraction import ActivationStore
from alignment.metrics import MetricChoice
from alignment.models import Hub, HuggingFaceHub
from alignment.preprocessing import Preprocessing
from alignment.probes import Draw, load_probe
from app.probes.reading import datasets_of, drawings_folder

STORE = "activations"  # the store's folder beneath the data folder


def device_of(asked: str, own: str) -> str:
    """Returns the device to work on.

    Args:
        asked: `auto`, `cpu`, `cuda` or `cuda:N`; which of its GPUs it is a worker decides itself.
        own: the worker's.

    Raises:
        RequestError: if a GPU was asked for and the worker has none.

    >>> device_of("auto", "cuda:1"), device_of("cpu", "cuda:1"), device_of("cuda:0", "cuda:1")
    ('cuda:1', 'cpu', 'cuda:1')
    """
    kind = asked.partition(":")[0]
    if kind == "auto":
        return own
    if kind == "cuda" and not own.startswith("cuda"):
        raise RequestError(
            f"device {asked!r} was asked for and no worker with a GPU took it; ask for 'auto' or 'cpu', or start such "
            "a worker"
        )
    return own if kind == "cuda" else "cpu"


def scoring_of(payload: Mapping[str, Any], own: str, settings: Mapping[str, Any]) -> Scoring:
    """Returns how activations are to be compared, on the worker's own device if that may be.

    Raises:
        RequestError: if it cannot be done so.
    """
    return Scoring(
        metrics=tuple(MetricChoice.of(metric["name"], metric["params"]) for metric in payload["metrics"]),
        preprocess=Preprocessing(**payload["preprocess"]),
        calibration=Calibration(**payload["calibration"]),
        seed=payload["seed"],
        device=device_of(payload["device"], own),
        budget=int(settings["budget_mib"]) << 20,
    )


def items_of(payload: Mapping[str, Any], name: str, settings: Mapping[str, Any]) -> Items:
    """Returns the probe set and what is drawn of it.

    Args:
        payload: with `probe`, `samples` and `seed`.
        name: what errors call the probe set.
        settings: the work's.

    Raises:
        ProbeError: if it cannot be read, or is not what was registered.
        HubUnreachableError: if it is of the hub, not here yet, and the hub cannot be reached.
    """
    probe = payload["probe"]
    columns, datasets, cache = probe["columns"] or None, datasets_of(settings), drawings_folder(settings)
    whole = load_probe(probe["reference"], columns=columns, name=name, datasets=datasets, cache=cache)
    if whole.sha256 != probe["sha256"]:
        raise ProbeError(f"probe set {name!r} holds other items than when it was registered; register it anew")
    return Items(whole, whole.sample(payload["samples"], payload["seed"]))


def draw_of(payload: Mapping[str, Any], name: str, settings: Mapping[str, Any]) -> Draw:
    """Returns what is known of the items drawn, reading the probe set only if that was never done before.

    Raises:
        ProbeError: as `items_of`.
    """
    draws, samples, seed = store_of(settings).draws, payload["samples"], payload["seed"]
    known = draws.find(payload["probe"]["sha256"], samples, seed, name)
    if known is not None:
        return known
    items = items_of(payload, name, settings)
    draw = Draw.of(items.whole, items.drawn)
    draws.keep(draw, samples, seed)
    return draw


def store_of(settings: Mapping[str, Any]) -> ActivationStore:
    """Returns the store of activations."""
    return ActivationStore(Path(settings["data_dir"]) / STORE)


def cache_of(settings: Mapping[str, Any]) -> Path:
    """Returns the folder for converted weights and downloads."""
    return Path(settings["cache_dir"])


def hub_of(settings: Mapping[str, Any]) -> Hub:
    """Returns where hub models come from."""
    return HuggingFaceHub(endpoint=settings["hub_endpoint"], folder=cache_of(settings) / "hub")

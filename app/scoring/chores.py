"""Chores: what workers do for the store of activations, and for the data sets of the hub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import structlog

from alignment.extraction import ActivationStore, sweep
from alignment.hub.kept import sweep as sweep_datasets
from app.jobs import Chore
from app.probes.reading import datasets_folder
from app.scoring.asked import STORE
from app.settings import Settings

_LOG = structlog.get_logger("accord.store")
_MIB = 1 << 20


def chores(settings: Settings) -> Sequence[Chore]:
    """Returns them."""
    store = ActivationStore(settings.data_dir.absolute() / STORE)
    datasets = datasets_folder(settings.cache_dir.absolute())
    return (
        Chore("sweep the store", 60.0, lambda: keep_within(store, settings.store_mib * _MIB)),
        Chore("sweep the data sets", 600.0, lambda: keep_datasets_within(datasets, settings.datasets_mib * _MIB)),
    )


def keep_within(store: ActivationStore, max_bytes: int) -> None:
    """Takes the least recently used out of the store until it is as small as it should be."""
    swept = sweep(store, max_bytes)
    if swept.entries or swept.leftovers:
        _LOG.info("store swept", **vars(swept))


def keep_datasets_within(folder: Path, max_bytes: int) -> None:
    """Takes the least recently used data sets of the hub out of the cache until it is as small as it should be."""
    swept = sweep_datasets(folder, max_bytes)
    if swept.datasets or swept.leftovers:
        _LOG.info("data sets swept", **vars(swept))

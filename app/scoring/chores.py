"""Chores: what workers do for the store of activations."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from alignment.extraction import ActivationStore, sweep
from app.jobs import Chore
from app.scoring.asked import STORE
from app.settings import Settings

_LOG = structlog.get_logger("accord.store")
_MIB = 1 << 20


def chores(settings: Settings) -> Sequence[Chore]:
    """Returns them."""
    store = ActivationStore(settings.data_dir.absolute() / STORE)
    return (Chore("sweep the store", 60.0, lambda: keep_within(store, settings.store_mib * _MIB)),)


def keep_within(store: ActivationStore, max_bytes: int) -> None:
    """Takes the least recently used out of the store until it is as small as it should be."""
    swept = sweep(store, max_bytes)
    if swept.entries or swept.leftovers:
        _LOG.info("store swept", **vars(swept))

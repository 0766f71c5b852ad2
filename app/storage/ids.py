"""Ids: opaque, prefixed, sortable by creation."""

from __future__ import annotations

from ulid import ULID

PREFIXES = {
    "team": "tea",
    "key": "key",
    "model": "mdl",
    "probe": "prb",
    "upload": "upl",
    "comparison": "cmp",
    "study": "std",
    "training": "trn",
    "extraction": "ext",
    "schedule": "sch",
    "run": "run",
    "delivery": "dlv",
    "audit": "aud",
    "worker": "wrk",
    "cluster": "clu",
}


def new_id(kind: str) -> str:
    """Returns a new id of a kind; a later one sorts after an earlier one.

    >>> new_id("model")[:4]
    'mdl_'
    """
    return f"{PREFIXES[kind]}_{str(ULID()).lower()}"

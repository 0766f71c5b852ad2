"""Ids: opaque, prefixed, sortable by creation."""

from __future__ import annotations

from ulid import ULID

_TIME, _CHANCE = 10, 16  # the characters of an id that say when it was made, and those that are drawn
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


def first_of(kind: str, seconds: float) -> str:
    """Returns what every id of a kind that is made from a moment on sorts after, and every earlier one before.

    >>> first_of("run", 0.0)
    'run_00000000000000000000000000'
    """
    return f"{PREFIXES[kind]}_{str(ULID.from_timestamp(max(0.0, seconds))).lower()[:_TIME]}{'0' * _CHANCE}"


def new_id(kind: str) -> str:
    """Returns a new id of a kind; a later one sorts after an earlier one.

    >>> new_id("model")[:4]
    'mdl_'
    """
    return f"{PREFIXES[kind]}_{str(ULID()).lower()}"

"""Hiding: the server's paths, and what whoever asked is told instead.

An extraction is shared by whoever needs it, whatever team: it knows no team's names for its model and probe set, and
says placeholders, which each job that fails with it fills with its own (`app.scoring.settle`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.jobs import Context

MODEL, PROBE = "(the model)", "(the probe set)"
_ON_DISK = ("path:", "features:")


def shown(reference: str, name: str) -> str:
    """Returns a model's reference as answers have it: one that is a path on this server by the model's name.

    >>> shown("path:/srv/models/x", "tiny"), shown("hf:org/x", "tiny")
    ('path:tiny', 'hf:org/x')
    """
    scheme = reference.partition(":")[0] + ":"
    return f"{scheme}{name}" if scheme in _ON_DISK else reference


def probe_shown(probe: Mapping[str, Any]) -> str:
    """Returns a probe set's reference as answers have it; one that is a path on this server by the set's name.

    >>> probe_shown({"reference": "/srv/x.csv", "name": "mine"}), probe_shown({"reference": "hf:x@c9745ed:test"})
    ('mine', 'hf:x@c9745ed:test')
    """
    reference: str = probe["reference"]
    return reference if reference.startswith(("builtin:", "hf:")) else str(probe["name"])


def hide_folders(context: Context) -> None:
    """Has errors say nothing of where the server keeps its data."""
    for folder in ("data_dir", "cache_dir"):
        _hide(context, f"{context.settings[folder]}/", "")


def hide_model(context: Context, reference: str, name: str) -> None:
    """Has errors call a model that is a path on this server by its name."""
    scheme, _, place = reference.partition(":")
    if f"{scheme}:" in _ON_DISK:
        _hide(context, f"{scheme}:{place}", name)
        _hide_path(context, place, name)


def hide_probe(context: Context, probe: Mapping[str, Any], name: str) -> None:
    """Has errors call a probe set that is a path on this server by its name."""
    if not probe["reference"].startswith(("builtin:", "hf:")):
        _hide_path(context, probe["reference"], name)


def hide_file(context: Context, path: str, name: str) -> None:
    """Has errors call a file by its name."""
    _hide_path(context, path, name)


def _hide_path(context: Context, path: str, name: str) -> None:
    _hide(context, path, name)
    _hide(context, str(Path(path).resolve()), name)  # libraries follow links before they speak


def _hide(context: Context, text: str, name: str) -> None:
    if len(text) > 1:
        context.names[text] = name

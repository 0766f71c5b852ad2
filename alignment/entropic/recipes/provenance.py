"""Provenance: what a training's numbers depend on beside its request."""

from __future__ import annotations

import platform
from importlib import metadata

_PACKAGES = ("accord", "torch", "numpy")


def versions() -> dict[str, dict[str, str]]:
    """Returns the versions of Python and of the packages that compute.

    >>> sorted(versions()["versions"])
    ['accord', 'numpy', 'python', 'torch']
    """
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:  # run from a checkout that is not installed
            found[package] = "unknown"
    return {"versions": found}

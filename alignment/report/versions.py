"""Versions: of what computes, without which numbers cannot be had again."""

from __future__ import annotations

import platform
from functools import cache
from importlib import metadata

_COMPUTE = ("accord", "torch", "numpy")


@cache  # a package's metadata is a file, read and parsed each time: half the time of a small comparison
def installed_version(package: str) -> str | None:
    """Returns the version of an installed package, None if it is not installed.

    >>> installed_version("no-such-package") is None
    True
    """
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def versions(*others: str) -> dict[str, str]:
    """Returns the versions of Python, of what computes and of other packages, `unknown` for one that is not installed.

    >>> sorted(versions("pillow"))
    ['accord', 'numpy', 'pillow', 'python', 'torch']
    """
    # Run from a checkout that is not installed, Accord itself is unknown.
    found = {package: installed_version(package) or "unknown" for package in (*_COMPUTE, *others)}
    return {"python": platform.python_version()} | found

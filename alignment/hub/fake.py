"""FakeDatasets: data sets that are local folders."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from alignment.errors import ProbeError
from alignment.hub.datasets import NoRevisionError


@dataclass(frozen=True)
class FakeDatasets:
    """Data sets made of local folders: what tests and demonstrations use.

    Attributes:
        folders: id -> revision -> folder; the default branch is called `main`.

    >>> FakeDatasets({}).commit("org/x", None)
    Traceback (most recent call last):
        ...
    alignment.errors.ProbeError: the hub has no data set 'org/x'; it has: (none)
    """

    folders: Mapping[str, Mapping[str, Path]]

    def commit(self, name: str, revision: str | None) -> str:
        """Returns the sha1 of the folder's name; see `Datasets.commit`."""
        if name not in self.folders:
            raise ProbeError(f"the hub has no data set {name!r}; it has: {', '.join(self.folders) or '(none)'}")
        commits = {key: _sha1(folder) for key, folder in self.folders[name].items()}
        if revision in commits.values():
            return str(revision)
        if (revision or "main") not in commits:
            raise NoRevisionError(f"hf:{name}: the data set has no revision {revision!r}; it has: {', '.join(commits)}")
        return commits[revision or "main"]

    def files(self, name: str, commit: str) -> Mapping[str, int]:
        """Returns the folder's files; see `Datasets.files`."""
        folder = self._folder(name, commit)
        found = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        return {path.relative_to(folder).as_posix(): path.stat().st_size for path in found}

    def fetch(self, name: str, commit: str, files: Mapping[str, int]) -> Path:
        """Returns the folder itself; see `Datasets.fetch`."""
        return self._folder(name, commit)

    def _folder(self, name: str, commit: str) -> Path:
        self.commit(name, commit)
        return next(folder for folder in self.folders[name].values() if _sha1(folder) == commit)


def _sha1(folder: Path) -> str:
    return hashlib.sha1(str(folder).encode(), usedforsecurity=False).hexdigest()

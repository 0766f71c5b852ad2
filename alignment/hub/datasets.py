"""Datasets: where data sets are downloaded from, file by file, by id and commit."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, TypeVar, runtime_checkable

from alignment.errors import HubUnreachableError, ProbeError
from alignment.hub.asking import ask
from alignment.hub.kept import place_of
from alignment.hub.room import room

MOST_FILES = 50_000  # of a repository
_COMMIT = re.compile(r"[0-9a-f]{40}")
_AT_ONCE = 4
T = TypeVar("T")


class NoRevisionError(ProbeError):
    """A revision that a data set does not have."""


@runtime_checkable
class Datasets(Protocol):
    """A place that keeps data sets by id and revision."""

    def commit(self, name: str, revision: str | None) -> str:
        """Returns the 40 hex digits of the commit that a revision (None: the default branch) stands for now.

        Raises:
            NoRevisionError: if there is no such revision.
            ProbeError: if there is no such data set.
            HubUnreachableError: if the hub cannot be reached.
        """

    def files(self, name: str, commit: str) -> Mapping[str, int]:
        """Returns every file's path at that commit, with `/` between the parts, and how many bytes it has.

        Raises:
            ProbeError: if there is no such commit, or it has more than `MOST_FILES`.
            HubUnreachableError: if the hub cannot be reached.
        """

    def fetch(self, name: str, commit: str, files: Mapping[str, int]) -> Path:
        """Returns a folder that holds these of its files, each at its path, downloaded if they were not here.

        Raises:
            ProbeError: if they cannot be kept.
            CacheFullError: if there is no room for them now.
            HubUnreachableError: if the hub cannot be reached.
        """


@dataclass(frozen=True)
class HuggingFaceDatasets:
    """The Hugging Face hub, or a mirror of it; where it cannot be reached, what the folder already holds.

    Nothing of a data set is ever run: its files are copied, and no script is among those that are asked for.

    Attributes:
        endpoint: the hub's address; None is huggingface_hub's own.
        folder: where downloads are kept; None is huggingface_hub's own folder for assets.
        timeout: seconds to wait for an answer.
        token: whether this machine's own login is used; None is if there is one.
        most: bytes that the folder may have, downloads under way counted whole; None sets no limit.
    """

    endpoint: str | None = None
    folder: Path | None = None
    timeout: float = 5.0
    token: bool | None = None
    most: int | None = None

    def commit(self, name: str, revision: str | None) -> str:
        """Returns the commit of a revision; see `Datasets.commit`."""
        if revision is not None and _COMMIT.fullmatch(revision):
            return revision
        kept = self._place(name) / "refs" / f"{_digest(revision or '')}.json"
        try:
            found = self._probe(name, revision)
        except HubUnreachableError:
            known = _read(kept)
            if known is None:
                raise
            return str(known)
        _write(kept, found)
        return found

    def files(self, name: str, commit: str) -> Mapping[str, int]:
        """Returns the files of a commit; see `Datasets.files`."""
        from huggingface_hub import RepoFile

        kept = self._place(name) / commit / "files.json"
        known: dict[str, int] | None = _read(kept)
        if known is not None:
            return known
        self._probe(name, commit)  # which gives a silent hub up sooner than the next question does
        found: dict[str, int] = {}

        def list_all() -> None:
            tree = self._api().list_repo_tree(name, recursive=True, revision=commit, repo_type="dataset")
            for entry in tree:
                if isinstance(entry, RepoFile) and ".." not in PurePosixPath(entry.path).parts:
                    found[entry.path] = entry.size
                if len(found) > MOST_FILES:
                    raise ProbeError(f"hf:{name} has more than {MOST_FILES:,} files; upload what is to be read of it")

        self._ask(name, commit, list_all)
        _write(kept, found)
        return found

    def fetch(self, name: str, commit: str, files: Mapping[str, int]) -> Path:
        """Returns the folder of some files of a commit; see `Datasets.fetch`."""
        from huggingface_hub import hf_hub_download

        paths = sorted(files)
        folder = self._place(name) / commit / _digest("\n".join(paths))
        whole = folder.with_name(folder.name + ".json")  # written last
        with suppress(OSError):  # it is not there, or in a folder that cannot be written and so is never swept
            os.utime(whole)  # used, before it is looked at
        if _read(whole) == paths and all(_size(folder / path) == files[path] for path in paths):
            return folder
        self._probe(name, commit)

        def download(path: str) -> None:
            hf_hub_download(
                name,
                path,
                repo_type="dataset",
                revision=commit,
                endpoint=self.endpoint,
                token=self.token,
                local_dir=folder,
                etag_timeout=self.timeout,
                tqdm_class=_silent(),
            )

        def download_all() -> None:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                for _ in pool.map(download, paths):
                    pass

        with room(self._folder(), folder, sum(files.values()), self.most):
            self._ask(name, commit, download_all)
        short = [path for path in paths if _size(folder / path) != files[path]]
        if short:
            raise ProbeError(f"hf:{name}: {short[0]} did not come whole; try again")
        _write(whole, paths)
        return folder

    def _folder(self) -> Path:
        from huggingface_hub import cached_assets_path

        return self.folder or Path(cached_assets_path("accord", namespace="datasets"))

    def _place(self, name: str) -> Path:
        return place_of(self._folder(), name)

    def _api(self) -> Any:
        from huggingface_hub import HfApi

        return HfApi(endpoint=self.endpoint, token=self.token)

    def _probe(self, name: str, revision: str | None) -> str:
        info = self._api().dataset_info
        return self._ask(name, revision, lambda: str(info(name, revision=revision, timeout=self.timeout).sha))

    def _ask(self, name: str, revision: str | None, question: Callable[[], T]) -> T:
        return ask(
            question,
            kind="data set",
            name=name,
            revision=revision,
            error=ProbeError,
            no_revision=NoRevisionError,
            public=self.token is False,
        )


def _silent() -> Any:
    """Returns a progress bar that shows nothing; the hub's own would write to stderr."""
    from huggingface_hub.utils.tqdm import tqdm

    class Silent(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{**options, "disable": True})  # type: ignore[no-untyped-call]

    return Silent


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _read(path: Path) -> Any:
    """Returns what a file of ours says; None if there is none, or it is damaged: it is made anew then."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def _write(path: Path, content: Any) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".draft-") as folder:
            draft = Path(folder) / path.name
            draft.write_text(json.dumps(content))
            draft.replace(path)
    except OSError as error:
        raise ProbeError(
            f"a data set of the hub cannot be kept in the cache ({error.strerror}); name a folder that can be written"
        ) from error

"""Hub: where models are downloaded from, by id and commit."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

from alignment.errors import HubUnreachableError, ModelError
from alignment.hub import ask

# Only what Accord reads: no pickles and no code is ever fetched.
ALLOWED = ("*.json", "*.safetensors", "*.txt", "*.model")
_COMMIT = re.compile(r"[0-9a-f]{40}")
T = TypeVar("T")


@runtime_checkable
class Hub(Protocol):
    """A place that keeps models by id and revision."""

    def commit(self, model: str, revision: str | None) -> str:
        """Returns the 40 hex digits of the commit that a revision (None: the default branch) stands for now.

        Raises:
            ModelError: if there is no such model or revision.
            HubUnreachableError: if the hub cannot be reached.
        """

    def download(self, model: str, commit: str) -> Path:
        """Returns a folder with the model's config, tokenizer and safetensors at that commit.

        Raises:
            ModelError: if there is no such model or commit.
            HubUnreachableError: if the hub cannot be reached.
        """


@dataclass(frozen=True)
class HuggingFaceHub:
    """The Hugging Face hub, or a mirror of it; where it cannot be reached, what its cache folder already holds.

    Attributes:
        endpoint: the hub's address; None is huggingface_hub's own.
        folder: where downloads are kept; None is huggingface_hub's own cache.
        timeout: seconds to wait for an answer.
    """

    endpoint: str | None = None
    folder: Path | None = None
    timeout: float = 5.0

    def commit(self, model: str, revision: str | None) -> str:
        """Returns the commit of a revision; see `Hub.commit`."""
        from huggingface_hub import try_to_load_from_cache

        if revision is not None and _COMMIT.fullmatch(revision):
            return revision
        try:
            return self._probe(model, revision)
        except HubUnreachableError:
            kept = try_to_load_from_cache(model, "config.json", cache_dir=self.folder, revision=revision)
            if isinstance(kept, str):
                return Path(kept).parent.name  # the cache lays a file at snapshots/COMMIT/config.json
            raise

    def download(self, model: str, commit: str) -> Path:
        """Returns a snapshot's folder; see `Hub.download`."""
        from huggingface_hub import errors, snapshot_download

        def fetch(*, offline: bool = False) -> Path:
            return Path(
                snapshot_download(
                    model,
                    revision=commit,
                    endpoint=self.endpoint,
                    cache_dir=self.folder,
                    local_files_only=offline,
                    etag_timeout=self.timeout,
                    allow_patterns=list(ALLOWED),
                    ignore_patterns=["*/*"],  # subfolders hold the same model in other formats
                )
            )

        try:
            self._probe(model, commit)
        except HubUnreachableError as unreachable:
            try:
                return fetch(offline=True)
            except errors.LocalEntryNotFoundError:
                raise unreachable from None
        return self._ask(model, commit, fetch)

    def _probe(self, model: str, revision: str | None) -> str:
        """Returns the commit that the hub itself gives, after one question.

        A download asks again and again for half a minute before it gives a silent hub up; this does not.
        """
        from huggingface_hub import HfApi

        api = HfApi(endpoint=self.endpoint)
        return self._ask(
            model, revision, lambda: str(api.model_info(model, revision=revision, timeout=self.timeout).sha)
        )

    def _ask(self, model: str, revision: str | None, question: Callable[[], T]) -> T:
        return ask(question, kind="model", name=model, revision=revision, error=ModelError)


@dataclass(frozen=True)
class FakeHub:
    """A hub made of local folders: what tests and demonstrations use.

    Attributes:
        models: id -> revision -> folder; the default branch is called `main`.
        downloads: the `(id, commit)` pairs that were downloaded, in order.

    >>> hub = FakeHub({"org/tiny": {"main": Path("tiny")}})
    >>> len(hub.commit("org/tiny", None))
    40
    >>> hub.download("org/tiny", hub.commit("org/tiny", "main"))
    PosixPath('tiny')
    """

    models: Mapping[str, Mapping[str, Path]]
    downloads: list[tuple[str, str]] = field(default_factory=list, compare=False)

    def commit(self, model: str, revision: str | None) -> str:
        """Returns the sha1 of the folder's name; see `Hub.commit`."""
        folders = self._folders(model)
        if revision in {_sha1(folder) for folder in folders.values()}:
            return str(revision)
        if (revision or "main") not in folders:
            raise ModelError(f"hf:{model}: the model has no revision {revision!r}; it has: {', '.join(folders)}")
        return _sha1(folders[revision or "main"])

    def download(self, model: str, commit: str) -> Path:
        """Returns the folder itself; see `Hub.download`."""
        for folder in self._folders(model).values():
            if _sha1(folder) == commit:
                self.downloads.append((model, commit))
                return folder
        raise ModelError(f"hf:{model}: the model has no revision {commit!r}")

    def _folders(self, model: str) -> Mapping[str, Path]:
        if model not in self.models:
            raise ModelError(f"the hub has no model {model!r}; it has: {', '.join(self.models) or '(none)'}")
        return self.models[model]


def _sha1(folder: Path) -> str:
    return hashlib.sha1(str(folder).encode(), usedforsecurity=False).hexdigest()

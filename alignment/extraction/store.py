"""ActivationStore: activations kept by what decides them, in a folder that many processes and machines may share.

An entry is written into a folder of the writer's own and then renamed to where readers look, so that they see all of it
or nothing. Two writers of one key make equal entries: the first stays, and both have succeeded.

    FOLDER/entries/ab/abcd…/manifest.json, 000-0000.safetensors, …     the entries, each named by its key
    FOLDER/drafts/…                                                    what is being written, or thrown away
    FOLDER/digests/…                                                   hashes of models' files (`identify`)
    FOLDER/draws/…                                                     what was drawn of which probe set
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import uuid
from pathlib import Path

from alignment.activations import Activations, Layers
from alignment.errors import StoreFullError, WorkError
from alignment.extraction.draws import Draws
from alignment.extraction.entry import MANIFEST, DamagedError, Entry, Facts, sync_folder, write_entry
from alignment.extraction.key import Key

_LOG = logging.getLogger("accord.store")
_SHARD = 32 << 20
_TRIES = 5  # how often a damaged entry in the way is cleared before the writer gives up
_FULL = (errno.ENOSPC, errno.EDQUOT)


class ActivationStore:
    """The store in a folder.

    Attributes:
        entries: where entries lie.
        drafts: where they are made and thrown away.
        digests: a folder for `identify`.
        draws: what was drawn of which probe set.
    """

    def __init__(self, folder: Path, *, shard_bytes: int = _SHARD) -> None:
        self._shard_bytes = shard_bytes
        self.entries, self.drafts, self.digests = folder / "entries", folder / "drafts", folder / "digests"
        self.draws = Draws(folder / "draws")

    def find(self, key: Key) -> Entry | None:
        """Returns the entry of a key, or of the same with all layers; None if there is neither.

        It counts as used from now. One that is not whole is cleared away and, as the log says, counts as absent.
        """
        for asked in dict.fromkeys((key, key.whole())):
            folder = self._home(asked)
            try:
                entry = Entry.open(folder)
            except DamagedError as damage:
                self._clear(folder, str(damage))
                continue
            if entry is not None:
                with contextlib.suppress(FileNotFoundError):  # swept in this moment: loading will tell
                    os.utime(folder / MANIFEST)
                return entry
        return None

    def load(self, entry: Entry, layers: Layers) -> Activations | None:
        """Returns the layers wanted of what `find` found; None if it turns out damaged, and then it is cleared away.

        Args:
            entry: the entry.
            layers: which layers, of the model's.

        Raises:
            RequestError: if there is no such layer.
        """
        kept = entry.manifest["key"]["layers"]
        try:
            # An entry of just the layers wanted has them in their order; numbers would count in it otherwise.
            return entry.load(layers if kept == "all" else "all")
        except DamagedError as damage:
            self._clear(entry.folder, str(damage))
            return None

    def read(self, key: Key) -> Activations | None:
        """Returns the activations of a key; None if they are not there, whole."""
        entry = self.find(key)
        return None if entry is None else self.load(entry, key.layers)

    def write(self, key: Key, activations: Activations, facts: Facts) -> None:
        """Keeps activations; returns when the disk has them.

        Raises:
            StoreFullError: if there is no room; nothing of it stays.
        """
        draft = self.drafts / f"{key.name}-{uuid.uuid4().hex}"
        try:
            draft.mkdir(parents=True)
            write_entry(draft, key, activations, facts, self._shard_bytes)
            self._publish(draft, self._home(key))
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise StoreFullError(
                "the disk of the activation store is full; the work goes on when there is room: free some, or lower "
                "what the store may keep (ACCORD_STORE_MIB)"
            ) from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)  # it is gone already if all went well

    def _home(self, key: Key) -> Path:
        return self.entries / key.name[:2] / key.name

    def _publish(self, draft: Path, home: Path) -> None:
        home.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(_TRIES):
            try:
                draft.rename(home)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
            else:
                sync_folder(home.parent)
                return
            try:
                if Entry.open(home) is not None:
                    return  # another writer of the same was sooner
            except DamagedError as damage:
                self._clear(home, str(damage))
        raise WorkError(
            "the activation store could not keep an entry: others damage it again and again; check the disk"
        )

    def _clear(self, folder: Path, why: str) -> None:
        _LOG.warning("stored activations %s are damaged and count as absent: %s", folder.name[:12], why)
        self.remove(folder)

    def remove(self, folder: Path) -> None:
        """Takes an entry away, at once as readers see it."""
        grave = self.drafts / f"{folder.name}-{uuid.uuid4().hex}"
        grave.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.rename(grave)
        except FileNotFoundError:  # another was sooner
            return
        shutil.rmtree(grave, ignore_errors=True)  # what stays, `sweep` takes

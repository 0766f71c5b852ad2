"""Identity: a name for what a reference stands for right now, found without loading the model.

A hub model is its commit, a folder or a built-in model the content of its files. Equal identities mean equal models;
the converse need not hold, since a folder with another README is another folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from alignment.errors import ModelError
from alignment.models.builtin import builtin_model
from alignment.models.checkpoint import PICKLES, Checkpoint
from alignment.models.hub import Hub
from alignment.models.load import resolve
from alignment.references import ModelRef

_SETTLED = 2_000_000_000  # ns: a file changed later than so long ago may change again within its clock's same tick
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Identity:
    """What a reference stands for.

    Attributes:
        ref: the reference, a hub model's revision as a commit.
        content: equal for two references only if the models are equal.
    """

    ref: ModelRef
    content: str


def identify(ref: ModelRef, hub: Hub, digests: Path | None = None) -> Identity:
    """Returns what a model's reference stands for.

    Args:
        ref: a built-in, Hugging Face or timm model, or a local folder.
        hub: asked for the commit that a revision stands for.
        digests: a folder that keeps the hashes of files, by path, size and times; None hashes anew.

    Raises:
        ModelError: if there is no such model, or the hub cannot be reached.
        UnknownNameError: if there is no built-in model of that name.
    """
    if ref.scheme == "features":
        raise ModelError(f"{ref} is a file of activations: there is no model to identify")
    if ref.scheme == "builtin":
        return Identity(ref, _of_files(f"builtin:{ref.name}", builtin_model(ref.name).files(), digests))
    if ref.scheme == "path":
        folder = Checkpoint.open(Path(ref.name), str(ref)).folder
        unread = {file for pattern in PICKLES for file in folder.glob(pattern)}
        return Identity(ref, _of_files(str(ref), sorted(set(folder.iterdir()) - unread), digests, named="folder"))
    found = resolve(ref, hub)
    return Identity(found, str(found))


def _of_files(reference: str, files: Iterable[Path], digests: Path | None, named: str | None = None) -> str:
    """Returns a name for some files' content; two folders of equal content share it, two built-in models never."""
    try:
        rows = [(file.name, _sha256(file, digests)) for file in files if file.is_file()]
    except OSError as error:
        raise ModelError(f"{reference} cannot be read ({error.strerror}); check its files") from error
    return f"files:{hashlib.sha256(json.dumps([named or reference, rows]).encode()).hexdigest()}"


def _sha256(file: Path, digests: Path | None) -> str:
    stat = file.stat()
    # Of the file, not of its name alone: one that is replaced by another of equal size and time is another inode.
    state = [stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
    kept = None
    if digests is not None:
        kept = digests / f"{hashlib.sha256(os.fsencode(file.absolute())).hexdigest()}.json"
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # absent or damaged: it is made anew
            known = json.loads(kept.read_text())
            if known["state"] == state:
                return str(known["sha256"])
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    found = digest.hexdigest()
    if kept is not None and time.time_ns() - max(stat.st_mtime_ns, stat.st_ctime_ns) > _SETTLED:
        draft = kept.with_name(f"{kept.stem}.{uuid.uuid4().hex}")
        with contextlib.suppress(OSError):  # a hash that cannot be kept (a full disk) is made again next time
            kept.parent.mkdir(parents=True, exist_ok=True)
            draft.write_text(json.dumps({"state": state, "sha256": found}))
            draft.replace(kept)
    return found

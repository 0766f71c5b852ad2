"""Reference: from a model's source, as it is posted, to what `alignment` calls it; wrong sources are refused here."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alignment.activations.header import read_header
from alignment.errors import RequestError
from alignment.models import Outline, outline
from alignment.models.builtin import builtin_model
from alignment.models.checkpoint import Checkpoint
from alignment.references import ModelRef
from app.api.state import State
from app.models.schemas import (
    BuiltinModel,
    FeaturesModel,
    HuggingFaceModel,
    LocalModel,
    NewModel,
    TimmModel,
    TrainingModel,
)
from app.models.trained import made_by
from app.problems import invalid
from app.teams.principal import Principal
from app.uploads import service as uploads
from app.uploads.files import path_of


@dataclass(frozen=True)
class Known:
    """What is known of a model before anything is loaded.

    Attributes:
        source: as it is shown.
        reference: what `alignment` calls it; may hold a path of the server.
        modality: what it takes.
        layers: `{name, width}` each.
        poolings: how its positions may be pooled.
        parameters: how many weights it has.
        fingerprint: sha256 of its weights and preprocessing.
        bytes: of the files that are kept for it.
    """

    source: Mapping[str, Any]
    reference: str
    modality: str | None = None
    layers: Sequence[Mapping[str, Any]] | None = None
    poolings: Sequence[str] | None = None
    parameters: int | None = None
    fingerprint: str | None = None
    bytes: int = 0


def know(state: State, principal: Principal, new: NewModel) -> Known:
    """Returns what is known of a model that is to be registered.

    It reads files, and no transaction should wait for those: call it outside of one.

    Raises:
        Problem: 422, which points at what is wrong with its source.
    """
    source = new.source
    shown = source.model_dump()
    match source:
        case BuiltinModel():
            try:
                found = builtin_model(source.id)
            except RequestError as error:
                raise invalid("/source/id", str(error)) from error
            layers = [vars(layer) for layer in found.layers]
            return Known(shown, f"builtin:{source.id}", found.modality, layers, found.poolings)
        case HuggingFaceModel():
            return Known(shown, _hub("hf", source.id, source.revision))
        case TimmModel():
            return Known(shown, _hub("timm", source.id, None), "image")
        case LocalModel():
            root, folder = _beneath(state.settings.model_roots, source.path)
            if new.shared:  # other teams need not know where the server's folders are
                shown["path"] = os.path.relpath(folder, root)
            outlined = _outline(root, folder, source.path)
            return Known(shown, f"path:{folder}", outlined.modality, poolings=outlined.poolings)
        case TrainingModel():
            with state.database.read() as connection:
                made = made_by(state.database, connection, principal, source.id, source.member, "/source/id")
            facts = {
                name: made[name] for name in ("modality", "layers", "poolings", "parameters", "fingerprint", "bytes")
            }
            return Known(shown, made["reference"], **facts)
        case FeaturesModel():
            with state.database.read() as connection:
                upload = uploads.get(connection, principal, source.upload, "/source/upload")
            file = path_of(state.settings, upload)
            try:
                header = read_header(file, upload["filename"])
            except RequestError as error:
                raise invalid("/source/upload", str(error)) from error
            layers = [{"name": name, "width": width} for name, width in header.layers]
            return Known(shown, f"features:{file}", None, layers)


def _hub(scheme: str, name: str, revision: str | None) -> str:
    if "@" in name:
        message = f"{name!r} is no name of a model; leave out what follows the @"
        raise invalid("/source/id", message + (", or give it as `revision`" if scheme == "hf" else ""))
    try:
        ModelRef.parse(f"{scheme}:{name}")
    except RequestError as error:
        form = "ORG/NAME, as on the hub" if scheme == "hf" else "a name of timm, such as resnet50.a1_in1k"
        raise invalid("/source/id", f"{name!r} is not a model's name; write {form}") from error
    if revision is None:
        return f"{scheme}:{name}"
    try:
        return str(ModelRef.parse(f"{scheme}:{name}@{revision}"))
    except RequestError as error:
        raise invalid("/source/revision", f"{revision!r} is no revision; give a branch, a tag or a commit") from error


def _beneath(roots: Sequence[Path], path: str) -> tuple[Path, Path]:
    """Returns the first model root beneath which a path lies, every link followed, and the folder that it leads to."""
    if not roots:
        raise invalid(
            "/source/path", "this service has no folder for local models; ask its operator to set ACCORD_MODEL_ROOTS"
        )
    inside = False
    for root in (root.resolve() for root in roots):
        try:
            folder = (root / path).resolve()
        except (OSError, RuntimeError, ValueError):  # a link in a circle, a name too long, a NUL
            continue
        if folder.is_relative_to(root):
            inside = True
            if _is_folder(folder):
                return root, folder
    if inside:
        raise invalid("/source/path", f"there is no folder {path!r} beneath a model root; check its name")
    raise invalid("/source/path", f"{path!r} does not lie beneath a model root; give a path inside one, relative to it")


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _outline(root: Path, folder: Path, shown: str) -> Outline:
    """Returns what the model in a folder takes, having run nothing of it."""
    try:
        for entry in folder.iterdir():
            if entry.is_symlink() and not entry.resolve().is_relative_to(root):
                raise invalid(
                    "/source/path",
                    f"{entry.name!r} in {shown!r} is a link that leads out of the model root; copy it there",
                )
        return outline(Checkpoint.open(folder, shown))
    except RequestError as error:
        raise invalid("/source/path", str(error).replace(str(folder), shown)) from error
    except (OSError, RuntimeError) as error:
        raise invalid("/source/path", f"{shown!r} cannot be read; the server must be allowed to read it") from error

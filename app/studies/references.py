"""References: from what a study is to be held against to the file that its work reads; wrong ones are refused here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, RowMapping

from alignment.entropic.theory import FILE as THEORY
from app.api.state import State
from app.models.trained import made_by
from app.problems import invalid
from app.studies.kernels import TRAINING, kernel_source
from app.studies.schemas import Reference
from app.teams.principal import Principal
from app.uploads import service as uploads
from app.uploads.files import path_of

# Each field that not every kind has, and the kinds that have it; the first two are needed where they may be.
_OF_KINDS: Mapping[str, tuple[str, ...]] = {
    "upload": ("kernel", "counts", "corpus"),
    "training": (TRAINING,),
    "member": (TRAINING,),
    "window": ("corpus",),
    "smoothing": ("corpus", "counts"),
}


def find_source(
    state: State, connection: Connection, principal: Principal, given: Reference, probe: RowMapping
) -> dict[str, Any]:
    """Returns what the work is told of a reference kernel.

    Raises:
        Problem: 422 that points at what is wrong with it.
    """
    for field, kinds in _OF_KINDS.items():
        value = getattr(given, field)
        if value is not None and given.kind not in kinds:
            raise invalid(f"/reference/{field}", f"a {given.kind} has no {field}; leave it out")
        if value is None and given.kind in kinds and field in ("upload", "training"):
            raise invalid(f"/reference/{field}", f"a {given.kind} needs the {field} that it comes from; give its id")
    if given.kind == TRAINING:
        return _of_training(state, connection, principal, given, probe)
    upload = uploads.get(connection, principal, str(given.upload), "/reference/upload", hold=True)
    options = {name: getattr(given, name) for name in ("window", "smoothing") if getattr(given, name) is not None}
    source = kernel_source({"kind": given.kind, "path": str(path_of(state.settings, upload)), **options})
    return {**source.to_dict(), "name": upload["filename"]}


def shown(given: Reference, source: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a reference as a request has it, every default filled in."""
    if given.kind == TRAINING:
        return {"kind": TRAINING, "training": given.training, "member": source["member"]}
    filled = {name: source[name] for name in ("window", "smoothing") if name in source}
    return {"kind": given.kind, "upload": given.upload, **filled}


def _of_training(
    state: State, connection: Connection, principal: Principal, given: Reference, probe: RowMapping
) -> dict[str, Any]:
    member, training = given.member or "a", str(given.training)
    made = made_by(state.database, connection, principal, training, member, "/reference/training")
    file = Path(made["reference"].removeprefix("path:")) / THEORY
    if not file.is_file():
        raise invalid(
            "/reference/training",
            f"theory gives no kernel for the training {training}; it does for those of the recipe linear",
        )
    of_sides = probe["views"] is not None and "x" not in probe["views"]
    if probe["modality"] != "array" or of_sides:
        held = "vectors 'a' and 'b'" if of_sides else f"{probe['modality']} items"
        raise invalid(
            "/reference",
            f"theory's kernel is of vectors as the network takes them, and the probe set {probe['name']!r} holds "
            f"{held}; give an .npz with x",
        )
    return {"kind": TRAINING, "path": str(file), "name": f"{training}/{member}", "member": member}

"""Sources: what the command line names, made known to a service: references become models, files become probe sets."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

from alignment.errors import RequestError
from app.client.client import Client

_HUB, _TRAINING = "hf:", "training:"
_BUILTIN = "builtin:"  # every service knows these without being told


def model_named(client: Client, text: str) -> str:
    """Returns the name by which a service knows a model, made known to it if need be.

    Args:
        client: the service.
        text: an id or a name there; or `builtin:NAME`, `hf:ORG/NAME[@REVISION]`, `timm:NAME`, `features:FILE`,
            `path:DIR` for a folder beneath the service's own model roots, or `training:ID/a` (or `b`).

    Raises:
        RequestError: if the service refuses it.
    """
    scheme, colon, rest = text.partition(":")
    if not colon or scheme == "builtin":
        return text
    if scheme == "features":
        file = Path(rest)
        name = _name(f"{file.name}@{_digest(file)[:12]}")
        if not _is_known(client, "/v1/models", name):
            register(client, name, {"type": "features", "upload": client.upload("/v1/uploads", file)["id"]})
        return name
    if scheme == "training":
        return _trained(client, rest)
    hub, at, revision = rest.partition("@")
    sources: dict[str, dict[str, Any]] = {
        "hf": {"type": "huggingface", "id": hub, **({"revision": revision} if at else {})},
        "timm": {"type": "timm", "id": rest},
        "path": {"type": "local", "path": rest},
    }
    if scheme not in sources:
        raise RequestError(
            f"{text!r} names no model; write a name of the service, or builtin:, hf:, timm:, path:, features: or "
            "training:"
        )
    name = _name(text)
    if not _is_known(client, "/v1/models", name):
        register(client, name, sources[scheme])
    return name


def _trained(client: Client, text: str) -> str:
    training, _, member = text.partition("/")
    if member not in ("a", "b"):
        raise RequestError(f"'training:{text}' names no model; write training:ID/a or training:ID/b")
    return str(_found(client, training)["models"][member])


def _items_named(client: Client, training: str) -> str:
    """Returns the name of the items that a training's models are compared on, registered if need be."""
    found = _found(client, training)
    if found["probe"] is not None:
        return str(found["probe"])
    name = _name(f"{training}/probe")
    if not _is_known(client, "/v1/probes", name):
        with TemporaryDirectory() as folder:
            file = Path(folder, f"{training}.npz")
            file.write_bytes(client.get(f"/v1/trainings/{training}/probe"))
            client.upload("/v1/probes", file, name=name)
    return name


def _found(client: Client, training: str) -> Mapping[str, Any]:
    """Returns what a training has found."""
    job = client.get(f"/v1/trainings/{quote(training, safe='')}")
    if job["result"] is None:
        raise RequestError(f"the training {training} is {job['status']}; its models are there when it has succeeded")
    result: Mapping[str, Any] = job["result"]
    return result


def register(client: Client, name: str, source: Mapping[str, Any], *, kind: str = "models") -> Mapping[str, Any]:
    """Returns a model or a probe set as the service has it now, under that name.

    Raises:
        RequestError: if the service refuses it.
    """
    made: Mapping[str, Any] = client.post(f"/v1/{kind}", {"name": name, "source": source})
    return made


def probe_named(client: Client, text: str) -> str:
    """Returns the name by which a service knows a probe set: one that it has, a built-in's, or a file's, uploaded once.

    One of the hub is registered once, at the commit that it then has. `training:ID` is the items that come with a
    training's models, each side's view of them.

    Raises:
        RequestError: if the file cannot be read, or the service refuses it.
    """
    if text.startswith(_HUB):
        return _dataset_named(client, text)
    if text.startswith(_TRAINING):
        return _items_named(client, text.removeprefix(_TRAINING))
    file = Path(text)
    if text.startswith(_BUILTIN) or not file.is_file():
        return text  # if it is none, the service says so
    name = _name(f"{file.name}@{_digest(file)[:12]}")
    if not _is_known(client, "/v1/probes", name):
        client.upload("/v1/probes", file, name=name)
    return name


def _dataset_named(client: Client, text: str) -> str:
    """Returns the name of a data set of the hub, `hf:ORG/NAME[@REVISION][:SPLIT[:COLUMN]]`, made known if need be."""
    name = _name(text)
    if not _is_known(client, "/v1/probes", name):
        place, _, rest = text.removeprefix(_HUB).partition(":")
        hub, _, revision = place.partition("@")
        split, _, column = rest.partition(":")
        source = {"type": "huggingface", "id": hub, "revision": revision or None, "split": split or None}
        register(client, name, {**source, "columns": {"text": column or None}}, kind="probes")
    return name


def _is_known(client: Client, path: str, name: str) -> bool:
    """Whether one's own team has it: what another team shares under that name may be anything."""
    team = client.get("/v1/me")["team"]
    return bool(client.get(path, limit=1, name=name, team=team)["items"])


def _name(text: str) -> str:
    """Returns a text in the letters that a name may have.

    >>> _name("hf:org/model@main")
    'hf/org/model@main'
    """
    return re.sub(r"[^A-Za-z0-9 ._+@/()-]", "/", text).strip(" /-")[-200:]


def _digest(file: Path) -> str:
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise RequestError(f"{file} cannot be read ({error.strerror}); name a file that can") from error

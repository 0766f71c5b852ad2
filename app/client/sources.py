"""Sources: what the command line names, made known to a service: references become models, files become probe sets."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from alignment.errors import RequestError
from app.client.client import Client

_HUBS = {"hf": "huggingface", "timm": "timm"}


def model_named(client: Client, text: str) -> str:
    """Returns the name by which a service knows a model, made known to it if need be.

    Args:
        client: the service.
        text: an id or a name there; or `builtin:NAME`, `hf:ORG/NAME[@REVISION]`, `timm:NAME`, `features:FILE`, which
            are registered under that name the first time.

    Raises:
        RequestError: if the service refuses it.
    """
    scheme, colon, rest = text.partition(":")
    if not colon:
        return text
    if scheme == "builtin":
        source: dict[str, Any] = {"type": "builtin", "id": rest}
    elif scheme in _HUBS:
        name, _, revision = rest.partition("@")
        source = {"type": _HUBS[scheme], "id": name, **({"revision": revision} if revision else {})}
    elif scheme == "path":
        source = {"type": "local", "path": rest}  # the service's own path, beneath a root of its operator's choice
    elif scheme == "features":
        file = Path(rest)
        text = f"features:{file.name}@{_digest(file)[:12]}"
        if _known(client, "/v1/models", text):
            return text
        source = {"type": "features", "upload": client.upload("/v1/uploads", file)["id"]}
    else:
        raise RequestError(f"{text!r} names no model; write builtin:, hf:, timm:, path: or features:, or a name")
    if not _known(client, "/v1/models", text):
        client.post("/v1/models", {"name": text, "source": source})
    return text


def probe_named(client: Client, text: str) -> str:
    """Returns the name by which a service knows a probe set: one that it has, a built-in's, or a file's, uploaded once.

    Raises:
        RequestError: if the file cannot be read, or the service refuses it.
    """
    if text.startswith("builtin:"):
        if not _known(client, "/v1/probes", text):
            source = {"type": "builtin", "id": text.removeprefix("builtin:")}
            client.post("/v1/probes", {"name": text, "source": source})
        return text
    file = Path(text)
    if not file.is_file():
        return text  # a name or an id, or a file that is not there: the service says so
    name = f"{file.name}@{_digest(file)[:12]}"
    if not _known(client, "/v1/probes", name):
        client.upload("/v1/probes", file, name=name)
    return name


def _known(client: Client, path: str, name: str) -> bool:
    cursor = None
    while True:
        page = client.get(path, limit=200, cursor=cursor)
        if any(item["name"] == name for item in page["items"]):
            return True
        cursor = page["next_cursor"]
        if cursor is None:
            return False


def _digest(file: Path) -> str:
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise RequestError(f"{file} cannot be read ({error.strerror}); name a file that can") from error

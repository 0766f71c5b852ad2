"""ETags: what never changes any more is sent once, and afterwards only said to be unchanged."""

from __future__ import annotations

import hashlib
from importlib import metadata
from typing import Annotated, Any

from fastapi import Header, Response

IfNoneMatch = Annotated[
    str | None,
    Header(
        alias="If-None-Match",
        max_length=2000,
        description="`ETag` of an answer that the client has; if that is still right, the answer is 304 and empty",
        examples=['W/"5d41402abc4b2a76"'],
    ),
]
NOT_MODIFIED: dict[int | str, dict[str, Any]] = {
    304: {"description": "what the client has is still right; only for what has ended"}
}
_VERSION = metadata.version("accord")


def etag(*parts: object) -> str:
    """Returns the tag of what some parts decide. It is a weak one, for the same is sent compressed and not."""
    # The release is in it: another one may draw or write the same result another way.
    return f'W/"{hashlib.sha256(repr((_VERSION, *parts)).encode()).hexdigest()[:16]}"'


def unchanged(asked: str | None, tag: str) -> Response | None:
    """Returns an empty 304 if the client has what the tag names, else None."""
    if asked is None or not (asked.strip() == "*" or tag.removeprefix("W/") in asked):
        return None
    return tagged(Response(status_code=304), tag)


def tagged(response: Response, tag: str) -> Response:
    """Returns an answer with its tag."""
    # `no-cache`: it may be kept, and is asked after each time, so that a revoked key sees nothing.
    response.headers.update({"ETag": tag, "Cache-Control": "private, no-cache"})
    return response

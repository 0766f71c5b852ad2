"""Signature: what says that a body is ours, and from when."""

from __future__ import annotations

import hashlib
import hmac
import secrets

HEADER = "Accord-Signature"


def new_secret() -> str:
    """Returns a new secret."""
    return f"whsec_{secrets.token_urlsafe(32)}"


def sign(secret: str, moment: int, body: str) -> str:
    """Returns the header's value for a body sent at a moment, in whole seconds since 1970.

    >>> sign("whsec_x", 1700000000, "{}")
    't=1700000000,v1=be8cb8325f2202445260a855532f967e30ad2a9394ce28da66ee02880ddcb661'
    """
    digest = hmac.new(secret.encode(), f"{moment}.{body}".encode(), hashlib.sha256).hexdigest()
    return f"t={moment},v1={digest}"

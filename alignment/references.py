"""ModelRef: the one way to name a model."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Literal, get_args

from alignment.errors import ReferenceError

Scheme = Literal["builtin", "hf", "timm", "path", "features"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
_FORMS = "builtin:NAME, hf:ORG/NAME[@REVISION], timm:NAME[@REVISION], path:DIR or features:FILE"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_REVISION = re.compile(r"[\w][\w./-]*")


@dataclass(frozen=True)
class ModelRef:
    """A model's name: where it comes from, what it is called there, and at which revision.

    Attributes:
        scheme: `builtin`, `hf`, `timm`, `path` or `features`.
        name: an id, a folder or a file.
        revision: a branch, tag or commit of a hub model; None means the default branch.
    """

    scheme: Scheme
    name: str
    revision: str | None = None

    @classmethod
    def parse(cls, text: str) -> ModelRef:
        """Returns the reference that `text` spells.

        Raises:
            ReferenceError: if it spells none.

        >>> ModelRef.parse("hf:org/model@v1")
        ModelRef(scheme='hf', name='org/model', revision='v1')
        >>> str(ModelRef.parse("builtin:minilm-l6"))
        'builtin:minilm-l6'
        """
        scheme, colon, rest = text.partition(":")
        if not colon or scheme not in SCHEMES or not rest:
            raise ReferenceError(f"{text!r} does not name a model{_guess(text)}; write {_FORMS}")
        if scheme not in ("hf", "timm"):
            return cls(scheme, rest)
        name, at, revision = rest.partition("@")
        if not _HUB_ID.fullmatch(name) or (at and not _REVISION.fullmatch(revision)) or ".." in rest:
            raise ReferenceError(
                f"{text!r} is not a hub model's name; write {scheme}:ORG/NAME or {scheme}:ORG/NAME@REVISION"
            )
        return cls(scheme, name, revision or None)

    def __str__(self) -> str:
        return f"{self.scheme}:{self.name}" + (f"@{self.revision}" if self.revision else "")


def _guess(text: str) -> str:
    """Returns the question whether a reference without a scheme means what it looks like."""
    scheme, colon, _ = text.partition(":")
    close = difflib.get_close_matches(scheme, SCHEMES, n=1) if colon else []
    if close:
        return f" (did you mean '{close[0]}:…'?)"
    if colon or not _HUB_ID.fullmatch(text):
        return ""
    if text.endswith((".npz", ".safetensors")):
        return f" (did you mean 'features:{text}'?)"
    return f" (did you mean '{'hf' if '/' in text else 'builtin'}:{text}'?)"

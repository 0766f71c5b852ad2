"""Names: what a team may call a model or a probe set."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

# No colon, which only `builtin:NAME` has; no space at either end, which nobody would see.
_PATTERN = r"^[A-Za-z0-9]([A-Za-z0-9 ._+@/()-]*[A-Za-z0-9._+@/()-])?$"
_ID = re.compile(r"[a-z]{3}_[0-9a-z]{26}")


def _not_an_id(name: str) -> str:
    if _ID.fullmatch(name):
        raise ValueError("it looks like an id; a name must be told from one: choose another")
    return name


Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=_PATTERN), AfterValidator(_not_an_id)]
Text = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\u0000]*$")]  # PostgreSQL takes no NUL in a text
NAME_RULE = "unique in the team: letters, digits and ` ._+@/()-`, a letter or digit first"

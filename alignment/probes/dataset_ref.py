"""DatasetRef: the one way to name a split of a data set of the hub."""

from __future__ import annotations

import re
from dataclasses import dataclass

from alignment.errors import ReferenceError

SCHEME = "hf:"
FORM = "hf:ORG/NAME[@REVISION][:SPLIT[:COLUMN]]"
_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_REVISION = re.compile(r"\w[\w./-]*")
_SPLIT = re.compile(r"[\w.+/ -]+")
_WHOLE = re.compile(r"hf:(?P<name>[^@:]*)(@(?P<revision>[^:]*))?(:(?P<split>[^:]*)(:(?P<column>.+))?)?", re.DOTALL)


@dataclass(frozen=True)
class DatasetRef:
    """A split of a data set of the hub.

    Attributes:
        name: its id there.
        revision: a branch, tag or commit; None means the default branch.
        split: `SPLIT` or `CONFIGURATION/SPLIT`; None means the only one.
        column: the column that holds the text or the image; None means its own name.
    """

    name: str
    revision: str | None = None
    split: str | None = None
    column: str | None = None

    @classmethod
    def parse(cls, text: str) -> DatasetRef:
        """Returns the reference that `text` spells.

        Raises:
            ReferenceError: if it spells none.

        >>> DatasetRef.parse("hf:org/captions@v1:test:caption")
        DatasetRef(name='org/captions', revision='v1', split='test', column='caption')
        >>> str(DatasetRef.parse("hf:org/captions"))
        'hf:org/captions'
        """
        match = _WHOLE.fullmatch(text)
        if match is None or ".." in (match["name"] + (match["revision"] or "")):
            raise ReferenceError(f"{text!r} does not name a data set of the hub; write {FORM}")
        ref = cls(match["name"], match["revision"], match["split"] or None, match["column"])
        for value, form in ((ref.name, _ID), (ref.revision, _REVISION), (ref.split, _SPLIT)):
            if value is not None and not form.fullmatch(value):
                raise ReferenceError(f"{text!r} does not name a data set of the hub ({value!r}); write {FORM}")
        return ref

    def __str__(self) -> str:
        text = SCHEME + self.name + (f"@{self.revision}" if self.revision else "")
        if self.split or self.column:
            text += f":{self.split or ''}"
        return text + (f":{self.column}" if self.column else "")

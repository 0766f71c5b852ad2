"""KernelSource: where a reference kernel comes from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from alignment.errors import RequestError, UnknownNameError

Kind = Literal["kernel", "counts", "corpus", "theory"]


@dataclass(frozen=True)
class KernelSource:
    """A file that a reference kernel comes from.

    Attributes:
        kind: `kernel` (an .npz with `kernel [n, n]`), `counts` (an .npz with co-occurrence `counts [n, n]`), `corpus`
            (a text, one document a line, in which the probe set's texts are counted) or `theory` (what the theory has
            every hidden layer of a trained linear network be like: its folder, or the `theory.npz` in that).
        path: the file or folder.
        window: how many tokens after one item's end another may begin to occur with it; a corpus's alone.
        smoothing: pseudo-counts that pull a pair's observed over expected count to 1; counts' and a corpus's alone.
    """

    kind: Kind
    path: str
    window: int = 8
    smoothing: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise UnknownNameError("kind of kernel", self.kind, get_args(Kind))
        if self.window < 1:
            raise RequestError(f"window must be at least 1 token, not {self.window}")
        if not (math.isfinite(self.smoothing) and self.smoothing >= 0):
            raise RequestError(f"smoothing must be 0 or more pseudo-counts, not {self.smoothing}")

    def to_dict(self) -> dict[str, Any]:
        """Returns the source, without what does not concern its kind."""
        found: dict[str, Any] = {"kind": self.kind, "path": self.path}
        if self.kind == "corpus":
            found["window"] = self.window
        if self.kind in ("counts", "corpus"):
            found["smoothing"] = self.smoothing
        return found

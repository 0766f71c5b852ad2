"""Draw: what is known of the items that were drawn of a probe set, without the items themselves."""

from __future__ import annotations

from dataclasses import dataclass

from alignment.probes.probe_set import Kind, ProbeSet


@dataclass(frozen=True)
class Draw:
    """Items drawn of a probe set: enough to find their activations and to say in a report what they were.

    Attributes:
        name: how the set was named.
        kind: the set's.
        whole: how many items the set has.
        whole_sha256: the set's fingerprint.
        sha256: the drawn items'.
        ids: the drawn items', one a row.
        rows: each drawn item's row in the set; None when all were taken.
        views: the names of the set's array views.
    """

    name: str
    kind: Kind
    whole: int
    whole_sha256: str
    sha256: str
    ids: tuple[str, ...]
    rows: tuple[int, ...] | None
    views: tuple[str, ...]

    @classmethod
    def of(cls, whole: ProbeSet, drawn: ProbeSet) -> Draw:
        """Returns what is known of items drawn of a set.

        >>> letters = ProbeSet("letters", ids=("0", "1", "2"), texts=("a", "b", "c"))
        >>> Draw.of(letters, letters.sample(2, seed=0)).whole
        3
        """
        return cls(
            name=drawn.name,
            kind=drawn.kind,
            whole=len(whole),
            whole_sha256=whole.sha256,
            sha256=drawn.sha256,
            ids=drawn.ids,
            rows=drawn.rows,
            views=tuple(sorted(drawn.vectors)),
        )

    def __len__(self) -> int:
        return len(self.ids)

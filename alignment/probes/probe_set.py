"""ProbeSet: the ordered items that both models see."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, TypeVar

import numpy as np

from alignment.errors import ProbeError
from alignment.probes.image_item import ImageItem

__all__ = ["ImageItem", "Item", "Kind", "Modality", "ProbeSet", "Side"]

Modality = Literal["text", "image", "array"]
Kind = Literal["text", "image", "paired", "array"]
Side = Literal["a", "b"]
T = TypeVar("T")


Item = str | ImageItem | np.ndarray  # what an Encoder of modality text, image, array takes


@dataclass(frozen=True, eq=False)
class ProbeSet:
    """Ordered items with ids; row i of every activation is item i here.

    Attributes:
        name: how it was named.
        ids: one a row, unique.
        texts: one a row, or None.
        images: one a row, or None.
        vectors: array views, each `[items, width]`: `x` for both sides, or `a` and `b`.
        targets: one a row (a label or a number), or None.
        rows: each item's row in the set that this was sampled from; None when nothing was sampled.
        source_sha256: the whole set's fingerprint, if this is a sample of it.
    """

    name: str
    ids: tuple[str, ...]
    texts: tuple[str, ...] | None = None
    images: tuple[ImageItem, ...] | None = None
    vectors: Mapping[str, np.ndarray] = field(default_factory=dict)
    targets: tuple[str | float, ...] | None = None
    rows: tuple[int, ...] | None = None
    source_sha256: str | None = None

    def __post_init__(self) -> None:
        if not self.ids:
            raise ProbeError(f"probe set {self.name!r} has no items; give it at least a few hundred")
        if not (self.texts or self.images or self.vectors):
            raise ProbeError(f"probe set {self.name!r} has neither text, images nor vectors")
        if len(set(self.ids)) != len(self.ids):
            seen: set[str] = set()
            twice = next(i for i in self.ids if i in seen or seen.add(i))  # type: ignore[func-returns-value]
            raise ProbeError(f"probe set {self.name!r} has the id {twice!r} more than once; give each row its own id")
        columns = {"texts": self.texts, "images": self.images, "targets": self.targets, **self.vectors}
        for column, values in columns.items():
            if values is not None and len(values) != len(self.ids):
                raise ProbeError(f"probe set {self.name!r}: {len(values)} {column} for {len(self.ids)} ids")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """Which modalities a model may take from it."""
        held = {"text": self.texts, "image": self.images, "array": self.vectors}
        return tuple(m for m in ("text", "image", "array") if held[m])

    @property
    def kind(self) -> Kind:
        """`text`, `image`, `array`, or `paired` when each item has both an image and a text."""
        return "paired" if "text" in self.modalities and "image" in self.modalities else self.modalities[0]

    def items(self, modality: Modality, side: Side = "a") -> Sequence[Item]:
        """Returns one item a row for a model of `modality` on side `side`.

        Raises:
            ProbeError: if the set has none of that modality.
        """
        if modality == "text" and self.texts:
            return self.texts
        if modality == "image" and self.images:
            return self.images
        if modality == "array" and self.vectors:
            view = side if side in self.vectors else "x"
            if view in self.vectors:
                return list(self.vectors[view])
            raise ProbeError(f"probe set {self.name!r} has no vectors for side {side}: name them 'x', or 'a' and 'b'")
        have = " and ".join(self.modalities)
        raise ProbeError(f"probe set {self.name!r} has {have} but the model takes {modality}; choose another of either")

    def sample(self, count: int | None, seed: int) -> ProbeSet:
        """Returns `count` items drawn without replacement by `seed`, in the set's own order; all if it has no more.

        Raises:
            ProbeError: if `count` is less than 1.
        """
        if count is None or count >= len(self):
            return self
        if count < 1:
            raise ProbeError(f"samples must be at least 1, not {count}")
        rows = np.sort(np.random.Generator(np.random.PCG64(seed)).choice(len(self), size=count, replace=False))
        take = rows.tolist()

        def pick(values: Sequence[T] | None) -> tuple[T, ...] | None:
            return None if values is None else tuple(values[i] for i in take)

        return replace(
            self,
            ids=tuple(self.ids[i] for i in take),
            texts=pick(self.texts),
            images=pick(self.images),
            vectors={view: values[rows] for view, values in self.vectors.items()},
            targets=pick(self.targets),
            rows=tuple(take if self.rows is None else (self.rows[i] for i in take)),
            source_sha256=self.source_sha256 or self.sha256,
        )

    @cached_property
    def sha256(self) -> str:
        """The fingerprint of these items: a hash over ids and content, in order."""
        digest = hashlib.sha256(b"accord-probe-1")

        def add(part: bytes) -> None:
            digest.update(len(part).to_bytes(8, "little"))  # a length first, so that no two sets run together alike
            digest.update(part)

        for row, item in enumerate(self.ids):
            add(item.encode())
            if self.texts is not None:
                add(b"t" + self.texts[row].encode())
            if self.images is not None:
                add(b"i" + hashlib.sha256(self.images[row].read()).digest())
            if self.targets is not None:
                add(b"y" + repr(self.targets[row]).encode())
        for view in sorted(self.vectors):
            values = np.ascontiguousarray(self.vectors[view])
            add(f"v{view}{values.dtype.str}{values.shape}".encode())
            add(values.tobytes())
        return digest.hexdigest()

    def check(self, modality: Modality) -> None:
        """Decodes every image once, if `modality` is image, so that a broken one is named before any model runs.

        Raises:
            ProbeError: naming the first image that cannot be decoded.
        """
        if modality == "image" and self.images is not None:
            for image in self.images:
                image.open()

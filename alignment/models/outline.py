"""outline(): what a checkpoint's model takes and how its positions may be pooled, found without loading its weights."""

from __future__ import annotations

from dataclasses import dataclass

from alignment.errors import ModelError
from alignment.models.checkpoint import Checkpoint
from alignment.models.encoder import Modality, Pooling
from alignment.models.pretrained import family
from alignment.models.text import load_tokenizer
from alignment.models.tower import TowerConfig
from alignment.models.towers import is_tower
from alignment.models.vectors import is_dense
from alignment.models.vision import CLASS_PARAMETER

_VECTORS: tuple[Pooling, ...] = ("mean",)
_TEXTS: tuple[Pooling, ...] = ("mean", "last", "max")
_TEXTS_WITH_CLASS: tuple[Pooling, ...] = ("mean", "last", "cls", "max")
_IMAGES: tuple[Pooling, ...] = ("mean", "max")
_IMAGES_WITH_CLASS: tuple[Pooling, ...] = ("mean", "cls", "max")


@dataclass(frozen=True)
class Outline:
    """What is known of a model before it is loaded.

    Attributes:
        modality: what it takes.
        poolings: how its positions may be pooled; None if only the loaded model can tell.
    """

    modality: Modality
    poolings: tuple[Pooling, ...] | None


def outline(checkpoint: Checkpoint) -> Outline:
    """Returns what a checkpoint holds.

    Raises:
        ModelError: if it is of a family that is not supported.
    """
    if is_dense(checkpoint):
        return Outline("array", _VECTORS)
    if is_tower(checkpoint):
        modality = TowerConfig.from_dict(checkpoint.config, checkpoint.reference).modality
        return Outline(modality, _TEXTS if modality == "text" else _IMAGES)
    if "architecture" in checkpoint.config:  # of timm, whose models alone know
        return Outline("image", None)
    modality, _, _ = family(checkpoint)
    if modality == "image":
        has_class = any(name.split(".")[-1] == CLASS_PARAMETER for name in checkpoint.names())
        return Outline(modality, _IMAGES_WITH_CLASS if has_class else _IMAGES)
    return Outline(modality, _of_tokenizer(checkpoint))


def _of_tokenizer(checkpoint: Checkpoint) -> tuple[Pooling, ...] | None:
    """Returns what a text model can pool by, which hangs on whether its texts begin with a class token."""
    try:
        backend = load_tokenizer(checkpoint.folder, checkpoint.reference)
    except ModelError:  # a folder may be named before it is whole; whoever loads the model says what it lacks
        return None
    first = backend.cls_token_id
    ids: list[int] = backend("a", truncation=True, max_length=8)["input_ids"]
    return _TEXTS_WITH_CLASS if first is not None and ids[:1] == [first] else _TEXTS

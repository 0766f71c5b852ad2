"""Built-in models: pretrained ones that ordinary packages carry, so that no model hub is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from alignment.errors import UnknownNameError
from alignment.models import efficientnet_lite, minilm_l3, minilm_l6
from alignment.models.encoder import POOLINGS, Encoder, Layer, Modality, Pooling
from alignment.models.placement import Placement


@dataclass(frozen=True)
class BuiltinModel:
    """A pretrained model that an installed package carries.

    Attributes:
        name: what follows `builtin:`.
        title: what it is, for people.
        modality: what it encodes.
        licence: of its weights (SPDX).
        package: what carries it.
        poolings: how its positions may be pooled.
        layers: its layers, from input to output.
        files: finds the installed files that decide what it computes.
        load: makes the encoder, given where to run it and the cache folder.
    """

    name: str
    title: str
    modality: Modality
    licence: str
    package: str
    poolings: tuple[Pooling, ...]
    layers: tuple[Layer, ...]
    files: Callable[[], Sequence[Path]]
    load: Callable[[Placement, Path | None], Encoder]


def _minilm(depth: int) -> tuple[Layer, ...]:
    return tuple(Layer(name, 384) for name in ("embeddings", *(f"layer.{i}" for i in range(depth))))


def _lite(blocks: tuple[tuple[int, int], ...]) -> tuple[Layer, ...]:
    widths = [width for count, width in blocks for _ in range(count)]
    return (Layer("stem", 32), *(Layer(f"block.{i}", width) for i, width in enumerate(widths)), Layer("head", 1280))


_BUILTIN = (
    BuiltinModel(
        "minilm-l6",
        "all-MiniLM-L6-v2, sentence encoder",
        "text",
        "Apache-2.0",
        minilm_l6.PACKAGE,
        POOLINGS,
        _minilm(6),
        lambda: sorted(minilm_l6.model_folder().glob("*.*")),
        lambda place, _: minilm_l6.load_minilm_l6(place),
    ),
    BuiltinModel(
        "minilm-l3",
        "paraphrase-MiniLM-L3-v2, sentence encoder",
        "text",
        "Apache-2.0",
        minilm_l3.PACKAGE,
        POOLINGS,
        _minilm(3),
        minilm_l3.files,
        minilm_l3.load_minilm_l3,
    ),
    *(
        BuiltinModel(
            lite.name,
            f"EfficientNet-Lite{lite.name[-1]}, ImageNet-1k classifier",
            "image",
            "Apache-2.0",
            lite.package,
            ("mean", "max"),
            _lite(lite.blocks),
            lambda lite=lite: [efficientnet_lite.weights_file(lite)],  # type: ignore[misc]
            lambda place, cache, lite=lite: efficientnet_lite.load_lite(lite, place, cache),  # type: ignore[misc]
        )
        for lite in (efficientnet_lite.LITE0, efficientnet_lite.LITE1)
    ),
)


def builtin_models() -> tuple[BuiltinModel, ...]:
    """Returns the table of built-in models.

    >>> [model.name for model in builtin_models()]
    ['minilm-l6', 'minilm-l3', 'efficientnet-lite0', 'efficientnet-lite1']
    """
    return _BUILTIN


def builtin_model(name: str) -> BuiltinModel:
    """Returns the built-in model of that name.

    Raises:
        UnknownNameError: if there is none.
    """
    for model in _BUILTIN:
        if model.name == name:
            return model
    raise UnknownNameError("built-in model", name, (model.name for model in _BUILTIN))

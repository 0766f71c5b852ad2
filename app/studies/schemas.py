"""Schemas: a study as it is asked for and as it is shown."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, TypeAdapter, WithJsonSchema

from alignment.activations import Layers
from alignment.models import Pooling
from app.api.jobs import Event
from app.scoring.forms import LAYER_CHOICE, POOLING, LayerChoice, Part, Text, layer_choice, pooling_choice
from app.scoring.schemas import Request
from app.studies.results import StudyResult

_LEAST, _MOST = 2, 64
_LAYERS: TypeAdapter[dict[str, Layers]] = TypeAdapter(dict[Text, LayerChoice])
_POOLINGS: TypeAdapter[dict[str, Pooling]] = TypeAdapter(dict[Text, Annotated[Pooling, PlainValidator(pooling_choice)]])


def _by_model(simple: dict[str, Any]) -> WithJsonSchema:
    """Returns the schema of a field that has one value for all models, or one for some."""
    return WithJsonSchema({"anyOf": [simple, {"type": "object", "additionalProperties": simple}]})


def _layers(value: Any) -> Layers | dict[str, Layers]:
    return _LAYERS.validate_python(value) if isinstance(value, dict) else layer_choice(value)


def _poolings(value: Any) -> Pooling | dict[str, Pooling]:
    return _POOLINGS.validate_python(value) if isinstance(value, dict) else pooling_choice(value)


def _different(models: list[str]) -> list[str]:
    seen: set[str] = set()
    for model in models:
        if model in seen:
            raise ValueError(f"{model!r} is named twice; a study takes each model once")
        seen.add(model)
    return models


def _several(models: Any) -> Any:
    if isinstance(models, list) and not _LEAST <= len(models) <= _MOST:
        raise ValueError(
            f"a study measures models against each other: name at least {_LEAST} and at most {_MOST} of them, not "
            f"{len(models)}"
        )
    return models


class Reference(Part):
    """A kernel that every layer of every model is held against."""

    kind: Literal["kernel", "counts", "corpus", "training"] = Field(
        description="`kernel`: an .npz with `kernel [n, n]`; `counts`: an .npz with co-occurrence `counts [n, n]`; "
        "`corpus`: a text, one document a line, in which the probe set's texts are counted. Of counts it is the PMI. "
        "`training`: what the theory has every hidden layer of a linear pair be like, on vectors `x` as the network "
        "takes them.",
        examples=["corpus"],
    )
    upload: str | None = Field(
        None,
        min_length=1,
        max_length=40,
        description="the upload that holds it; a training has none",
        examples=["upl_01kb0000000000000000000000"],
    )
    training: str | None = Field(
        None,
        min_length=1,
        max_length=40,
        description="the training, of the recipe `linear`; a training's alone",
        examples=["trn_01kb0000000000000000000000"],
    )
    member: Literal["a", "b"] | None = Field(
        None, description="whose view of the items `x` is; a training's alone, then `a`", examples=["a"]
    )
    window: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="words apart within which items occur together; a corpus's alone, then 8",
        examples=[8],
    )
    smoothing: float | None = Field(
        None, ge=0, le=1e9, description="pseudo-counts; counts' and a corpus's alone, then 1", examples=[1.0]
    )


class NewStudy(Request):
    """N models against each other on one probe set."""

    models: Annotated[list[Text], AfterValidator(_different), BeforeValidator(_several)] = Field(
        min_length=_LEAST,
        max_length=_MOST,
        description=f"{_LEAST} to {_MOST} models, by id or name",
        examples=[["minilm", "efficientnet"]],
    )
    layers: Annotated[Layers | dict[str, Layers], PlainValidator(_layers), _by_model(LAYER_CHOICE)] = Field(
        "all",
        description='which layers are scored: `"all"`, `"last"` or a list for all models; or by model, others all',
        examples=[{"minilm": ["layer.5", -1]}],
    )
    pooling: Annotated[Pooling | dict[str, Pooling], PlainValidator(_poolings), _by_model(POOLING)] = Field(
        "mean",
        description="how positions become one vector: one for all models, or by model; the others take the mean",
        examples=[{"efficientnet": "max"}],
    )
    capability: dict[Text, float] | None = Field(
        None,
        description="a number a model, by what `models` calls it: whether alignment rises with it is tested",
        examples=[{"minilm": 0.71, "efficientnet": 0.77}],
    )
    reference: Reference | None = Field(
        None, description="a kernel that models are held against, too", examples=[{"kind": "kernel", "upload": "upl_…"}]
    )


class StudyItem(Event):
    """A study without its result."""

    id: str = Field(description="the study", examples=["std_01jdfq5n0v8m3k7r2x9yzw4abc"])
    request: NewStudy = Field(
        description="what was asked for, every default filled in",
        examples=[{"models": ["minilm", "efficientnet"], "probe": "captions"}],
    )


class Study(StudyItem):
    """A study."""

    result: StudyResult | None = Field(description="what was found; null before it has succeeded")

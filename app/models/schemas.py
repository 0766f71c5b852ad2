"""What requests say of models, and what is shown of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field
from sqlalchemy import RowMapping

from alignment.models import Pooling, builtin_models
from app.api.body import Body
from app.api.names import NAME_RULE, Name
from app.api.times import moment

_BUILTIN = ", ".join(f"`{model.name}` ({model.title})" for model in builtin_models())
_UPLOAD = "upl_01kb0000000000000000000000"
Modality = Literal["text", "image", "array"]


class BuiltinModel(Body):
    """A pretrained model that the service's own packages carry."""

    type: Literal["builtin"] = Field(description="a built-in model", examples=["builtin"])
    id: str = Field(max_length=100, description=f"which one: {_BUILTIN}", examples=["minilm-l6"])


class HuggingFaceModel(Body):
    """A model of the Hugging Face hub: config and safetensors; its code is never run."""

    type: Literal["huggingface"] = Field(description="a model of the Hugging Face hub", examples=["huggingface"])
    id: str = Field(max_length=200, description="its name on the hub", examples=["google-bert/bert-base-uncased"])
    revision: str | None = Field(
        None,
        max_length=200,
        description="a branch, tag or commit; null is the default branch, looked up each time that the model is used",
        examples=["main"],
    )


class TimmModel(Body):
    """A vision model of timm."""

    type: Literal["timm"] = Field(description="a model of timm", examples=["timm"])
    id: str = Field(max_length=200, description="its name in timm", examples=["resnet50.a1_in1k"])


class LocalModel(Body):
    """A folder on the server: config.json and safetensors, as `save_pretrained` writes them."""

    type: Literal["local"] = Field(description="a folder on the server", examples=["local"])
    path: str = Field(
        min_length=1,
        max_length=1000,
        description="beneath one of the model roots that the operator sets: relative to it, or absolute",
        examples=["bert-base-uncased"],
    )


class TrainingModel(Body):
    """A model that an entropic training made."""

    type: Literal["training"] = Field(description="a model that a training made", examples=["training"])
    id: str = Field(max_length=40, description="the training", examples=["trn_01kb0000000000000000000000"])
    member: Literal["a", "b"] = Field(description="which of its two models", examples=["a"])


class FeaturesModel(Body):
    """Activations that were computed elsewhere."""

    type: Literal["features"] = Field(description="a file of activations", examples=["features"])
    upload: str = Field(
        max_length=40,
        description="an upload of this team: `.npz` or `.safetensors`, one 2-D array `[items, width]` a layer",
        examples=[_UPLOAD],
    )


Source = Annotated[
    BuiltinModel | HuggingFaceModel | TimmModel | LocalModel | TrainingModel | FeaturesModel,
    Field(discriminator="type"),
]


class NewModel(Body):
    """A model to register."""

    name: Name = Field(description=f"what to call it, {NAME_RULE}", examples=["minilm"])
    source: Source = Field(description="where it comes from", examples=[{"type": "builtin", "id": "minilm-l6"}])
    shared: bool = Field(
        False, description="whether every team may see and use it; takes the role admin", examples=[False]
    )


class ModelLayer(BaseModel):
    """A layer of a model."""

    name: str = Field(description="its name, unique in the model", examples=["layer.5"])
    width: int = Field(description="how many numbers it gives an item", examples=[384])


class Model(BaseModel):
    """A registered model."""

    id: str = Field(description="its id", examples=["mdl_01kb0000000000000000000000"])
    name: str = Field(description="its name, unique in its team", examples=["minilm"])
    source: Source = Field(description="where it comes from", examples=[{"type": "builtin", "id": "minilm-l6"}])
    shared: bool = Field(description="whether every team sees it", examples=[False])
    team: str = Field(description="the team that registered it", examples=["default"])
    modality: Modality | None = Field(
        description="what it takes; null for activations, and until the first job has loaded the model",
        examples=["text"],
    )
    layers: list[ModelLayer] | None = Field(
        description="its layers, from input to output; null until the first job has loaded the model",
        examples=[[{"name": "embeddings", "width": 384}]],
    )
    poolings: list[Pooling] | None = Field(
        description="how its positions may be pooled; null for activations, and where only the first job finds out",
        examples=[["mean", "last", "cls", "max"]],
    )
    parameters: int | None = Field(
        description="how many weights it has; null for activations, and until the first job has loaded the model",
        examples=[22713216],
    )
    fingerprint: str | None = Field(
        description="sha256 of its weights and preprocessing, or of the activations; null until the first job has read "
        "them; of a hub model without a revision, that of the last job",
        examples=["5f0c…"],
    )
    created_at: datetime = Field(description="when it was registered", examples=["2026-11-24T12:00:00Z"])

    @classmethod
    def of(cls, row: RowMapping) -> Model:
        """Returns what is shown of a row."""
        return cls.model_validate({**row, "created_at": moment(row["created_at"])})

"""What requests say of probe sets, and what is shown of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field
from sqlalchemy import RowMapping

from alignment.probes import builtin_probes
from app.api.body import Body
from app.api.names import NAME_RULE, Name
from app.api.times import moment

_BUILTIN = ", ".join(f"`{probe.name}` ({probe.title})" for probe in builtin_probes())
_COLUMN = "; null is its own name"
Modality = Literal["text", "image", "paired", "array"]


class Columns(Body):
    """What a table calls its columns, where that is not their own name."""

    text: str | None = Field(
        None, min_length=1, max_length=200, description=f"the column of texts{_COLUMN}", examples=["caption"]
    )
    image: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description=f"the column of images, paths in the archive or (in .parquet) bytes{_COLUMN}",
        examples=["photo"],
    )
    id: str | None = Field(
        None, min_length=1, max_length=200, description=f"the column of ids{_COLUMN}", examples=["key"]
    )
    target: str | None = Field(
        None, min_length=1, max_length=200, description=f"the column of targets{_COLUMN}", examples=["label"]
    )

    def named(self) -> dict[str, str]:
        """Returns the columns that have another name, and which."""
        return self.model_dump(exclude_none=True)


class BuiltinProbe(Body):
    """A probe set that the service's own packages carry."""

    type: Literal["builtin"] = Field(description="a built-in probe set", examples=["builtin"])
    id: str = Field(max_length=100, description=f"which one: {_BUILTIN}", examples=["emoji"])


class UploadedProbe(Body):
    """An upload of the team."""

    type: Literal["upload"] = Field(description="an uploaded file", examples=["upload"])
    upload: str = Field(
        max_length=40,
        description="the upload: `.jsonl`, `.csv` or `.parquet` (a row an item), `.txt` (a line an item), `.zip` (of "
        "images), `.npz` or `.safetensors` (vectors: `x`, or `a` and `b`)",
        examples=["upl_01kb0000000000000000000000"],
    )
    columns: Columns = Field(
        default_factory=Columns, description="what the table calls its columns", examples=[{"text": "caption"}]
    )


class HuggingFaceProbe(Body):
    """A split of a public data set of the Hugging Face hub; its code is never run.

    It is read from its own `.parquet`, `.jsonl`, `.csv` or image files, or from the hub's conversion to Parquet, at the
    commit that the revision stands for now. That commit is kept.
    """

    type: Literal["huggingface"] = Field(description="a data set of the hub", examples=["huggingface"])
    id: str = Field(max_length=200, description="its name on the hub", examples=["org/captions"])
    revision: str | None = Field(
        None,
        max_length=200,
        description="a branch, tag or commit; null is the default branch; answers have the commit",
        examples=["main"],
    )
    split: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="which of its splits, as `SPLIT` or `CONFIGURATION/SPLIT`; null if it has but one",
        examples=["test"],
    )
    columns: Columns = Field(
        default_factory=Columns, description="what it calls its columns", examples=[{"text": "caption"}]
    )


Source = Annotated[BuiltinProbe | UploadedProbe | HuggingFaceProbe, Field(discriminator="type")]


class _Named(Body):
    name: Name = Field(description=f"what to call it, {NAME_RULE}", examples=["captions"])
    shared: bool = Field(
        False, description="whether every team may see and use it; takes the role admin", examples=[False]
    )


class NewProbe(_Named):
    """A probe set to register."""

    source: Source = Field(description="where it comes from", examples=[{"type": "builtin", "id": "emoji"}])


class NewForm(_Named):
    """The fields of a form beside its file."""

    columns: Columns = Field(
        default_factory=Columns,
        description="what the table calls its columns, as JSON",
        examples=[{"text": "caption"}],
    )


class Probe(BaseModel):
    """A registered probe set: the items that both models see."""

    id: str = Field(description="its id", examples=["prb_01kb0000000000000000000000"])
    name: str = Field(description="its name, unique in its team", examples=["captions"])
    source: Source = Field(description="where it comes from", examples=[{"type": "builtin", "id": "emoji"}])
    shared: bool = Field(description="whether every team sees it", examples=[False])
    team: str = Field(description="the team that registered it", examples=["default"])
    modality: Modality = Field(
        description="what its items are: `text`, `image`, `paired` (each has an image and a text) or `array` (vectors)",
        examples=["paired"],
    )
    views: list[Literal["x", "a", "b"]] | None = Field(
        description="of vectors, which views it holds: `x` for every model, or `a` and `b`, one a side of a comparison "
        "(on those no study can be); null of other items, and of a set that was registered before this was kept",
        examples=[None, ["a", "b"]],
    )
    samples: int = Field(description="how many items it has", examples=[1183])
    sha256: str = Field(
        description="of its items: ids and content, in order",
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    )
    created_at: datetime = Field(description="when it was registered", examples=["2026-11-24T12:00:00Z"])

    @classmethod
    def of(cls, row: RowMapping) -> Probe:
        """Returns what is shown of a row."""
        return cls.model_validate({**row, "created_at": moment(row["created_at"])})


class View(BaseModel):
    """The beginning of an item's vector."""

    width: int = Field(description="how many numbers the vector has", examples=[64])
    values: list[float] = Field(description="its first eight", examples=[[0.25, -1.5]])


class PreviewItem(BaseModel):
    """An item, as far as it can be shown."""

    id: str = Field(description="its id", examples=["U+1F600"])
    text: str | None = Field(description="its text, at most 1,000 characters of it", examples=["grinning face"])
    image: str | None = Field(
        description="a thumbnail, as a data URI of a PNG or JPEG of at most 96 pixels a side; null if there is none",
        examples=["data:image/png;base64,iVBORw0KGgo="],
    )
    target: str | float | None = Field(description="its target, a label or a number", examples=["face"])
    vectors: dict[str, View] = Field(
        description="by view (`x`, or `a` and `b`)", examples=[{"x": {"width": 64, "values": [0.25, -1.5]}}]
    )


class Preview(BaseModel):
    """The first items of a probe set."""

    items: list[PreviewItem] = Field(description="the first items, in the set's order")

"""Catalogue: the metrics that there are, from the one table that also measures."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from alignment.metrics import METRICS
from app.api.pages import Cursor, Limit, Page, part
from app.teams.principal import Reader

router = APIRouter(prefix="/v1/metrics", tags=["metrics"])


class MetricFacts(BaseModel):
    """A metric."""

    name: str = Field(description="what a request calls it", examples=["mutual_knn"])
    title: str = Field(description="its name in a figure", examples=["mutual k-nearest neighbours"])
    family: Literal["neighbours", "kernel", "subspace", "regression"] = Field(
        description="what it looks at", examples=["neighbours"]
    )
    summary: str = Field(
        description="its definition in one sentence", examples=["mean over items of |kNN_A(i) ∩ kNN_B(i)| / k"]
    )
    params: dict[str, Any] = Field(
        description="the JSON schema of its parameters, with their defaults",
        examples=[{"type": "object", "properties": {"k": {"type": "integer", "default": 10, "minimum": 1}}}],
    )
    range: tuple[float, float] = Field(description="the least and the greatest score", examples=[[0, 1]])
    bounded: bool = Field(
        description="whether no score leaves the range; else the range is where scores are read", examples=[True]
    )
    symmetric: bool = Field(description="whether swapping the sides changes nothing", examples=[True])
    invariances: list[str] = Field(
        description="what may be done to one side alone without changing a score", examples=[["orthogonal", "scaling"]]
    )
    tolerance: float = Field(description="how far scores may differ between devices", examples=[0.0])
    interval: bool = Field(description="whether its best score has an interval", examples=[True])
    reference: str = Field(description="the paper", examples=["Huh et al. 2024, arXiv 2405.07987"])


@router.get("", summary="List the metrics")
def metrics(principal: Reader, limit: Limit = 50, cursor: Cursor = None) -> Page[MetricFacts]:
    """Every metric with its parameters, what it is invariant to, and where it comes from."""
    names = list(METRICS)
    return part([MetricFacts(**METRICS[name].facts()) for name in names], names, limit, cursor)

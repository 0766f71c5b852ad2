"""Runs: each time that a schedule was due or run by hand, as it is shown."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, cast

from pydantic import BaseModel, Field
from sqlalchemy import RowMapping

from app.api.times import moment

Outcome = Literal["waiting", "started", "skipped", "refused", "succeeded", "failed", "cancelled"]


class Score(BaseModel):
    """What a metric came to."""

    score: float | None = Field(
        description="the best pair of layers' score (of a study, the mean over pairs of models); null if it has none",
        examples=[0.31],
    )
    calibrated: float | None = Field(description="the same, 0 at chance", examples=[0.3])
    p_value: float | None = Field(description="how often chance scores as high", examples=[0.005])
    layer_a: str | None = Field(description="the best pair's layer of A", examples=["layer.5"])
    layer_b: str | None = Field(description="the best pair's layer of B", examples=["layer.11"])


class Measured(BaseModel):
    """A model, as it was when it was measured."""

    id: str | None = Field(description="its id", examples=["mdl_01jdfq5n0v8m3k7r2x9yzw4abc"])
    name: str | None = Field(description="its name", examples=["minilm"])
    reference: str | None = Field(
        description="what was loaded", examples=["hf:sentence-transformers/all-MiniLM-L6-v2@c9745ed"]
    )
    commit: str | None = Field(
        description="of a hub model, the commit that its branch pointed to; else null", examples=["c9745ed"]
    )
    fingerprint: str | None = Field(description="of its weights and preprocessing", examples=["9f2c1e"])


class RunView(BaseModel):
    """One run."""

    id: str = Field(description="its id", examples=["run_01jdfq5n0v8m3k7r2x9yzw4abc"])
    schedule: str = Field(description="the schedule's id", examples=["sch_01jdfq5n0v8m3k7r2x9yzw4abc"])
    manual: bool = Field(description="whether it was run by hand", examples=[False])
    due_at: datetime = Field(description="when it was due", examples=["2026-11-25T01:30:00Z"])
    fired_at: datetime = Field(description="when it was seen to be", examples=["2026-11-25T01:30:00.412000Z"])
    finished_at: datetime | None = Field(
        description="when it ended; null before", examples=["2026-11-25T01:30:27.100000Z"]
    )
    outcome: Outcome = Field(
        description="`started` while it is worked on, `waiting` for the run before, then what came of it; `skipped` if "
        "it was left out, `refused` if what it asks for cannot be met any more",
        examples=["succeeded"],
    )
    detail: str | None = Field(description="why, unless it succeeded", examples=[None, "the run before had not ended"])
    job: str | None = Field(
        description="the comparison or study; null if there is none", examples=["cmp_01jdfq5n0v8m3k7r2x9yzw4abc"]
    )
    scores: dict[str, Score] | None = Field(
        description="by the metric's key; null unless it succeeded",
        examples=[{"mutual_knn": {"score": 0.31, "calibrated": 0.3, "p_value": 0.005}}],
    )
    models: dict[str, Measured] | None = Field(
        description="what was measured: `a` and `b`, or a study's models by name; null unless it succeeded",
        examples=[{"a": {"name": "minilm", "commit": "c9745ed"}}],
    )
    alerted: bool = Field(description="whether this run's score was news to be told", examples=[False])

    @classmethod
    def of(cls, row: RowMapping) -> RunView:
        """Returns a run as it is shown."""
        return cls(
            id=row["id"],
            schedule=row["schedule_id"],
            manual=row["manual"],
            due_at=cast(datetime, moment(row["due_at"])),
            fired_at=cast(datetime, moment(row["fired_at"])),
            finished_at=moment(row["finished_at"]),
            outcome=row["outcome"],
            detail=row["detail"],
            job=row["job_id"],
            scores=row["scores"],
            models=row["models"],
            alerted=row["alerted"],
        )

"""Schemas: a schedule as it is asked for, changed and shown."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import RowMapping

from app.api.body import Body
from app.api.times import moment
from app.comparisons.schemas import NewComparison
from app.schedules.alerts import RULES
from app.schedules.cron import check_cron, check_zone
from app.scoring.forms import Text
from app.studies.schemas import NewStudy

Overlap = Literal["skip", "queue", "replace"]
Status = Literal["active", "paused"]
Cron = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(check_cron)]
Zone = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(check_zone)]
Url = Annotated[str, Field(min_length=1, max_length=2000, pattern=r"^[^\x00-\x1f\x7f]+$")]

_NAME = Field(description="what it is called", examples=["nightly"])
_CRON = Field(
    description="when: minute, hour, day of month, month, day of week, as the time zone's clock shows them. A time of "
    "the day that the clock skips or shows twice is due once",
    examples=["30 2 * * *"],
)
_ZONE = Field(description="whose clock: an IANA name", examples=["Europe/Berlin"])
_PAUSED = Field(description="whether it rests; it can still be run by hand", examples=[False])
_CATCH_UP = Field(
    description="whether what was missed while no worker ran is made up for when one does, once for all of it",
    examples=[True],
)
_OVERLAP = Field(
    description="what happens when it is due and the run before has not ended: `skip` leaves this one out, `queue` has "
    "it wait for that one's end, `replace` cancels that one",
    examples=["skip"],
)
_STUDY = Field(
    description="what is studied, as for `POST /v1/studies`; names are looked up at each run",
    examples=[{"models": ["builtin:minilm-l6", "builtin:minilm-l3"], "probe": "builtin:language-reference"}],
)
_COMPARISON = Field(
    description="what is compared, as for `POST /v1/comparisons`; names are looked up at each run",
    examples=[{"model_a": "builtin:minilm-l6", "model_b": "builtin:minilm-l3", "probe": "builtin:language-reference"}],
)


class Alert(Body):
    """When somebody is told. The score is the metric's best pair of layers' (of a study, the mean over pairs)."""

    metric: Text = Field(description="the metric: its key in results, or its name", examples=["mutual_knn"])
    below: float | None = Field(None, description="told when the score is below this", examples=[0.25])
    above: float | None = Field(None, description="told when the score is above this", examples=[0.9])
    drop: float | None = Field(
        None,
        gt=0,
        description="told when the score is lower than the successful run's before by more than this",
        examples=[0.05],
    )
    webhook_url: Url | None = Field(
        None,
        description="where a signed POST with the event `schedule.alert` goes, once a crossing: again only after a "
        "score on the right side; null just notes it in the history",
        examples=["https://example.org/hooks/accord"],
    )

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        given = [name for name in RULES if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give one of below, above and drop, not {' and '.join(given) or 'none'}")
        return self


_ALERT = Field(
    description="when somebody is told; null for never",
    examples=[{"metric": "mutual_knn", "below": 0.25, "webhook_url": "https://example.org/hooks/accord"}],
)


class NewSchedule(Body):
    """Something to repeat: a comparison or a study."""

    # As a whole, for one made of every field's example would ask for both.
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "nightly",
                    "cron": "30 2 * * *",
                    "timezone": "Europe/Berlin",
                    "comparison": _COMPARISON.examples[0],
                    "alert": _ALERT.examples[0],
                }
            ]
        }
    )

    name: Annotated[Text, _NAME]
    cron: Annotated[Cron, _CRON]
    timezone: Annotated[Zone, _ZONE] = "UTC"
    comparison: Annotated[NewComparison | None, _COMPARISON] = None
    study: Annotated[NewStudy | None, _STUDY] = None
    alert: Annotated[Alert | None, _ALERT] = None
    paused: Annotated[bool, _PAUSED] = False
    catch_up: Annotated[bool, _CATCH_UP] = True
    overlap: Annotated[Overlap, _OVERLAP] = "skip"

    @model_validator(mode="after")
    def _one_request(self) -> Self:
        if (self.comparison is None) == (self.study is None):
            raise ValueError("give what is to be repeated: a comparison or a study, and not both")
        return self


def _without_defaults(schema: dict[str, Any]) -> None:
    schema["examples"] = [{"paused": True}]
    for field in schema["properties"].values():
        field.pop("default", None)


_UNSET: Any = None  # a field that was not given; `model_fields_set` says which were


class ScheduleChange(Body):
    """What is to be another from now on; what is not named stays."""

    model_config = ConfigDict(json_schema_extra=_without_defaults)

    name: Annotated[Text, _NAME] = _UNSET
    cron: Annotated[Cron, _CRON] = _UNSET
    timezone: Annotated[Zone, _ZONE] = _UNSET
    comparison: Annotated[NewComparison, _COMPARISON] = _UNSET
    study: Annotated[NewStudy, _STUDY] = _UNSET
    alert: Annotated[Alert | None, _ALERT] = _UNSET
    paused: Annotated[bool, _PAUSED] = _UNSET
    catch_up: Annotated[bool, _CATCH_UP] = _UNSET
    overlap: Annotated[Overlap, _OVERLAP] = _UNSET

    @model_validator(mode="after")
    def _one_request(self) -> Self:
        if {"comparison", "study"} <= self.model_fields_set:
            raise ValueError("give a comparison or a study, and not both")
        return self


class ScheduleView(BaseModel):
    """A schedule."""

    id: str = Field(description="its id", examples=["sch_01jdfq5n0v8m3k7r2x9yzw4abc"])
    name: Annotated[str, _NAME]
    cron: Annotated[str, _CRON]
    timezone: Annotated[str, _ZONE]
    comparison: dict[str, Any] | None = Field(
        description="what is compared, every default filled in; null if it is a study",
        examples=[
            {"model_a": "builtin:minilm-l6", "model_b": "builtin:minilm-l3", "probe": "builtin:language-reference"}
        ],
    )
    study: dict[str, Any] | None = Field(
        description="what is studied, every default filled in; null if it is a comparison",
        examples=[None, {"models": ["builtin:minilm-l6", "builtin:minilm-l3"], "probe": "builtin:language-reference"}],
    )
    alert: Annotated[Alert | None, _ALERT]
    alerting: bool = Field(description="whether the last score was on the wrong side", examples=[False])
    paused: Annotated[bool, _PAUSED]
    catch_up: Annotated[bool, _CATCH_UP]
    overlap: Annotated[Overlap, _OVERLAP]
    next_at: datetime | None = Field(
        description="when it is due next; null while paused", examples=["2026-11-25T01:30:00Z"]
    )
    created_at: datetime = Field(description="when it was made", examples=["2026-11-24T15:28:53.120000Z"])
    updated_at: datetime = Field(description="when it was last changed", examples=["2026-11-24T15:28:53.120000Z"])

    @classmethod
    def of(cls, row: RowMapping) -> ScheduleView:
        """Returns a schedule as it is shown."""
        alert = row["alert"]
        same = ("id", "name", "cron", "timezone", "alerting", "paused", "catch_up", "overlap")
        return cls(
            **{name: row[name] for name in same},
            comparison=row["request"] if row["kind"] == "comparison" else None,
            study=row["request"] if row["kind"] == "study" else None,
            alert=None if alert is None else Alert(**{name: alert.get(name) for name in Alert.model_fields}),
            next_at=moment(row["next_at"]),
            created_at=cast(datetime, moment(row["created_at"])),
            updated_at=cast(datetime, moment(row["updated_at"])),
        )
